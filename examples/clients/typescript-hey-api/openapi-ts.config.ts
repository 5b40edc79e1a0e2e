import { defineConfig } from "@hey-api/openapi-ts";

export default defineConfig({
  input: "../../../spec/openapi.json",
  output: { path: "generated", module: { extension: ".js" } },
  plugins: [
    "@hey-api/client-fetch",
    { name: "@hey-api/typescript", enums: "javascript" },
    {
      name: "@hey-api/sdk",
      operations: {
        methods: "instance",
        // `retrieve_token`, among the tokens, is `tokens.retrieve`.
        strategy: ({ id, operationId = id, tags = [] }) => [
          ["Tokenward", ...tags, operationId.replace(/^([a-z]+)_(token|user|role_binding|account|event)s?$/, "$1")],
        ],
      },
    },
  ],
});
