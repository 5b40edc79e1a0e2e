"""A token's whole life, through the client that openapi-python-client makes of spec/openapi.json."""

from os import environ as env

from tokenward_client import AuthenticatedClient
from tokenward_client.api.tokens import create_token, delete_token, list_tokens, modify_token, retrieve_token
from tokenward_client.models import IssuedToken, Label, MetadataChange, NewToken, Problem, Token, TokenChange, TokenType, TokenVersion

client = AuthenticatedClient(env["URL"], env["SECRET"])
account, user = env["ACCOUNT_ID"], env["USER_ID"]
kind = {"type_": TokenType.TOKEN, "version": TokenVersion.V1_0}
labels = MetadataChange(labels=[Label("team", "storage")])

# Issue two tokens. Their secrets are in these answers, and nowhere else.
first, second = (
    create_token.sync(account, user, client=client, body=NewToken(**kind, name=name, metadata=labels)) for name in ("build", "deploy")
)
assert isinstance(first, IssuedToken) and isinstance(second, IssuedToken)

# Retrieve one, with the entity tag that names this version of it.
answer = retrieve_token.sync_detailed(account, user, first.id, client=client)
token, etag = answer.parsed, answer.headers["ETag"]
assert isinstance(token, Token) and (token.name, token.type_) == ("build", TokenType.TOKEN)

# List them, a page at a time; then just some fields of them.
mine = "metadata.labels[*].value eq 'storage'"
page = list_tokens.sync(account, user, client=client, filter_=mine, order_by="name desc", limit="1", count="true")
assert [item.id for item in page.items] == [second.id] and page.metadata.count == 2
rest = list_tokens.sync(account, user, client=client, limit="1", continue_=page.metadata.continue_)
assert [item.id for item in rest.items] == [first.id]
rows = list_tokens.sync(account, user, client=client, filter_=mine, skip="1", include="id,name")
assert rows.items == [[second.id, "deploy"]]

# Rename it, unless somebody else has changed it since it was retrieved. Now somebody has.
renamed = TokenChange(**kind, name="build (main)")
assert modify_token.sync_detailed(account, user, first.id, client=client, body=renamed, if_match=etag).status_code == 204
stale = modify_token.sync(account, user, first.id, client=client, body=renamed, if_match=etag)
assert isinstance(stale, Problem) and (stale.status, stale.title) == ("412", "Precondition not met")

# A token can't change hands.
handed = modify_token.sync(account, user, first.id, client=client, body=TokenChange(**kind, user_id=account))
assert isinstance(handed, Problem) and handed.status == "409" and handed.invalid_fields[0].name == "userID"

# Revoke it. It is gone, and its secret with it.
assert delete_token.sync_detailed(account, user, first.id, client=client).status_code == 204
gone = retrieve_token.sync(account, user, first.id, client=client)
assert isinstance(gone, Problem) and gone.type_.endswith("/problems/2") and gone.status == "404"
refused = list_tokens.sync(account, user, client=AuthenticatedClient(env["URL"], first.token))
assert isinstance(refused, Problem) and refused.status == "401"
assert delete_token.sync_detailed(account, user, second.id, client=client).status_code == 204
