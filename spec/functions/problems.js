/** Which problems an operation's answers lack an example of; `options` maps each status to the numbers that it must have. */
export default (responses, options, context) =>
  Object.entries(options).flatMap(([status, numbers]) => {
    const examples = responses?.[status]?.content?.["application/problem+json"]?.examples ?? {};
    return numbers
      .filter((number) => !(`problem_${number}` in examples))
      .map((number) => ({ message: `problem ${number} is missing among the examples of ${status}`, path: [...context.path, status] }));
  });
