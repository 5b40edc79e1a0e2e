// A token's whole life, through the client that openapi-generator makes of spec/openapi-3.0.json.

import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import tokenward.ApiClient;
import tokenward.ApiException;
import tokenward.api.TokensApi;
import tokenward.api.TokensApi.*;
import tokenward.model.*;

public class TokenLife {
    static final String URL = System.getenv("URL"), ACCOUNT = System.getenv("ACCOUNT_ID"), USER = System.getenv("USER_ID");
    static final ApiClient CLIENT = client(System.getenv("SECRET"));

    static ApiClient client(String secret) {
        ApiClient client = new ApiClient();
        client.updateBaseUri(URL);
        return client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + secret));
    }

    public static void main(String[] arguments) throws Exception {
        TokensApi tokens = new TokensApi(CLIENT);
        MetadataChange labels = new MetadataChange().addLabelsItem(new Label().name("team").value("storage"));

        // Issue two tokens. Their secrets are in these answers, and nowhere else.
        IssuedToken first = tokens.createToken(ACCOUNT, USER, draft("build").metadata(labels));
        IssuedToken second = tokens.createToken(ACCOUNT, USER, draft("deploy").metadata(labels));
        same(first.getToken().length(), 56);

        // Retrieve one, with the entity tag that names this version of it.
        var retrieve = APIRetrieveTokenRequest.newBuilder().accountId(ACCOUNT).userId(USER).tokenId(first.getId());
        var answer = tokens.retrieveTokenWithHttpInfo(retrieve.build());
        String etag = answer.getHeaders().get("etag").get(0);
        same(answer.getData().getName(), "build");
        same(answer.getData().getType(), TokenType.TOKEN);

        // List them, a page at a time; then just some fields of them.
        var list = APIListTokensRequest.newBuilder().accountId(ACCOUNT).userId(USER).limit("1");
        String mine = "metadata.labels[*].value eq 'storage'";
        TokenList page = tokens.listTokens(list.filter(mine).orderBy("name desc").count("true").build());
        same(page.getItems().get(0).getToken().getId(), second.getId());
        same(page.getMetadata().getCount(), 2L);
        TokenList rest = tokens.listTokens(list._continue(page.getMetadata().getContinue()).build());
        same(rest.getItems().get(0).getToken().getId(), first.getId());
        var fields = APIListTokensRequest.newBuilder().accountId(ACCOUNT).userId(USER).filter(mine).include("id,name").skip("1");
        same(List.copyOf(tokens.listTokens(fields.build()).getItems().get(0).getRow()), List.of(second.getId(), "deploy"));

        // Rename it, unless somebody else has changed it since it was retrieved. Now somebody has.
        var modify = APIModifyTokenRequest.newBuilder().accountId(ACCOUNT).userId(USER).tokenId(first.getId());
        var rename = modify.tokenChange(change().name("build (main)")).ifMatch(etag).build();
        tokens.modifyToken(rename);
        Problem stale = problem(() -> { tokens.modifyToken(rename); return null; });
        same(List.of(stale.getStatus(), stale.getTitle()), List.of("412", "Precondition not met"));

        // A token can't change hands.
        var hand = modify.tokenChange(change().userID(ACCOUNT)).ifMatch(null).build();
        Problem handed = problem(() -> { tokens.modifyToken(hand); return null; });
        same(List.of(handed.getStatus(), handed.getInvalidFields().get(0).getName()), List.of("409", "userID"));

        // Revoke it. It is gone, and its secret with it.
        tokens.deleteToken(APIDeleteTokenRequest.newBuilder().accountId(ACCOUNT).userId(USER).tokenId(first.getId()).build());
        Problem gone = problem(() -> tokens.retrieveToken(retrieve.build()));
        same(List.of(gone.getStatus(), gone.getTitle()), List.of("404", "Collection not found"));
        same(problem(() -> new TokensApi(client(first.getToken())).listTokens(fields.build())).getStatus(), "401");
        tokens.deleteToken(APIDeleteTokenRequest.newBuilder().accountId(ACCOUNT).userId(USER).tokenId(second.getId()).build());
    }

    static NewToken draft(String name) {
        return new NewToken().type(TokenType.TOKEN).version(TokenVersion.V1_0).name(name);
    }

    static TokenChange change() {
        return new TokenChange().type(TokenType.TOKEN).version(TokenVersion.V1_0);
    }

    /** What the server has against a call, as the type that the document gives it. */
    static Problem problem(Callable<?> call) throws Exception {
        try {
            throw new AssertionError("no problem, but " + call.call());
        } catch (ApiException refused) {
            return CLIENT.getObjectMapper().readValue(refused.getResponseBody(), Problem.class);
        }
    }

    static void same(Object got, Object wanted) {
        if (!Objects.equals(got, wanted)) throw new AssertionError(got + " instead of " + wanted);
    }
}
