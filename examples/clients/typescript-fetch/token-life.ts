// A token's whole life, through openapi-fetch with the types that openapi-typescript makes of spec/openapi.json.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/tokenward.js";

type Token = components["schemas"]["Token"];

const { URL: baseUrl, SECRET, ACCOUNT_ID: account_id, USER_ID: user_id } = process.env as Record<string, string>;
const connect = (secret: string) => createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${secret}` } });
const client = connect(SECRET!);
const TOKENS = "/accounts/{account_id}/core/v1/users/{user_id}/tokens";
const TOKEN = `${TOKENS}/{token_id}` as const;
const user = { account_id: account_id!, user_id: user_id! };
const kind = { type: "application/astra-token", version: "1.0" } as const;

// Issue two tokens. Their secrets are in these answers, and nowhere else.
const metadata = { labels: [{ name: "team", value: "storage" }] };
const issue = (name: string) => client.POST(TOKENS, { params: { path: user }, body: { ...kind, name, metadata } });
const first = (await issue("build")).data!;
const second = (await issue("deploy")).data!;
assert.equal(first.token.length, 56);

// Retrieve one, with the entity tag that names this version of it.
const path = { ...user, token_id: first.id };
const { data: token, response } = await client.GET(TOKEN, { params: { path } });
const etag = response.headers.get("ETag")!;
assert.equal(token?.name, "build");

// List them, a page at a time; then just some fields of them.
const filter = "metadata.labels[*].value eq 'storage'";
const list = async (query: paths[typeof TOKENS]["get"]["parameters"]["query"]) =>
  (await client.GET(TOKENS, { params: { path: user, query } })).data!;
const ids = (page: components["schemas"]["TokenList"]) => page.items.map((item) => (item as Token).id);
const page = await list({ filter, orderBy: "name desc", limit: "1", count: "true" });
assert.deepEqual([ids(page), page.metadata.count], [[second.id], 2]);
assert.deepEqual(ids(await list({ limit: "1", continue: page.metadata.continue })), [first.id]);
assert.deepEqual((await list({ filter, skip: "1", include: "id,name" })).items, [[second.id, "deploy"]]);

// Rename it, unless somebody else has changed it since it was retrieved. Now somebody has.
const rename = () => client.PUT(TOKEN, { params: { path, header: { "If-Match": etag } }, body: { ...kind, name: "build (main)" } });
assert.equal((await rename()).response.status, 204);
const stale = (await rename()).error;
assert.deepEqual([stale?.status, stale?.title], ["412", "Precondition not met"]);

// A token can't change hands.
const handed = (await client.PUT(TOKEN, { params: { path }, body: { ...kind, userID: account_id } })).error;
assert.deepEqual([handed?.status, handed?.invalidFields?.[0]?.name], ["409", "userID"]);

// Revoke it. It is gone, and its secret with it.
assert.equal((await client.DELETE(TOKEN, { params: { path } })).response.status, 204);
const gone = (await client.GET(TOKEN, { params: { path } })).error;
assert.deepEqual([gone?.status, gone?.title], ["404", "Collection not found"]);
assert.equal((await connect(first.token).GET(TOKENS, { params: { path: user } })).error?.status, "401");
assert.equal((await client.DELETE(TOKEN, { params: { path: { ...user, token_id: second.id } } })).response.status, 204);
