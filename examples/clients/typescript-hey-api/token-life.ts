// A token's whole life, through the client that Hey API makes of spec/openapi.json.

import assert from "node:assert/strict";
import { createClient } from "./generated/client/index.js";
import { Tokenward } from "./generated/sdk.gen.js";
import { TokenType, TokenVersion, type ListTokensData, type Token, type TokenList } from "./generated/types.gen.js";

const { URL: baseUrl, SECRET, ACCOUNT_ID, USER_ID } = process.env as Record<string, string>;
const connect = (secret: string) => new Tokenward({ client: createClient({ baseUrl, auth: secret }) });
const client = connect(SECRET!);
const user = { account_id: ACCOUNT_ID!, user_id: USER_ID! };
const kind = { type: TokenType.TOKEN, version: TokenVersion.V1_0 };

// Issue two tokens. Their secrets are in these answers, and nowhere else.
const metadata = { labels: [{ name: "team", value: "storage" }] };
const issue = (name: string) => client.tokens.create({ path: user, body: { ...kind, name, metadata }, throwOnError: true });
const { data: first } = await issue("build");
const { data: second } = await issue("deploy");
assert.equal(first.token.length, 56);

// Retrieve one, with the entity tag that names this version of it.
const path = { ...user, token_id: first.id };
const { data: token, response } = await client.tokens.retrieve({ path, throwOnError: true });
const etag = response.headers.get("ETag")!;
assert.equal(token.name, "build");

// List them, a page at a time; then just some fields of them.
const filter = "metadata.labels[*].value eq 'storage'";
const list = async (query: ListTokensData["query"]) => (await client.tokens.list({ path: user, query, throwOnError: true })).data;
const ids = (page: TokenList) => page.items.map((item) => (item as Token).id);
const page = await list({ filter, orderBy: "name desc", limit: "1", count: "true" });
assert.deepEqual([ids(page), page.metadata.count], [[second.id], 2]);
assert.deepEqual(ids(await list({ limit: "1", continue: page.metadata.continue })), [first.id]);
assert.deepEqual((await list({ filter, skip: "1", include: "id,name" })).items, [[second.id, "deploy"]]);

// Rename it, unless somebody else has changed it since it was retrieved. Now somebody has.
const rename = () => client.tokens.modify({ path, headers: { "If-Match": etag }, body: { ...kind, name: "build (main)" } });
assert.equal((await rename()).response?.status, 204);
const stale = (await rename()).error;
assert.deepEqual([stale?.status, stale?.title], ["412", "Precondition not met"]);

// A token can't change hands.
const handed = (await client.tokens.modify({ path, body: { ...kind, userID: user.account_id } })).error;
assert.deepEqual([handed?.status, handed?.invalidFields?.[0]?.name], ["409", "userID"]);

// Revoke it. It is gone, and its secret with it.
assert.equal((await client.tokens.delete({ path })).response?.status, 204);
const gone = (await client.tokens.retrieve({ path })).error;
assert.deepEqual([gone?.status, gone?.title], ["404", "Collection not found"]);
assert.equal((await connect(first.token).tokens.list({ path: user })).error?.status, "401");
assert.equal((await client.tokens.delete({ path: { ...user, token_id: second.id } })).response?.status, 204);
