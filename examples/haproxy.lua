-- Asks tokenward whether a request may pass: http-request lua.verify URL. Leaves the status in txn.verify_status (0 if there was no
-- answer, or one without a whole identity), how to authenticate in txn.verify_challenge, and whose the token is in the request's headers.

local identity = { "x-auth-account", "x-auth-user", "x-auth-email", "x-auth-role", "x-auth-token-id", "x-auth-role-constraints" }

local function verify(txn, url)
    txn:set_var("txn.verify_status", 0)
    txn:set_var("txn.verify_challenge", "Bearer")
    local headers = { ["x-forwarded-for"] = { txn.sf:src() } }
    local credentials = txn.http:req_get_headers()["authorization"]
    if credentials then
        -- All of them: tokenward refuses what is ambiguous.
        headers["authorization"] = {}
        for _, value in pairs(credentials) do
            table.insert(headers["authorization"], value)
        end
    end
    local answer = core.httpclient():get { url = url, headers = headers, timeout = 2000 }
    if not answer or not answer.headers then
        return
    end
    local challenge = answer.headers["www-authenticate"]
    if challenge then
        txn:set_var("txn.verify_challenge", challenge[0])
    end
    if answer.status == 200 then
        for _, name in ipairs(identity) do
            if not answer.headers[name] then
                return
            end
            txn.http:req_set_header(name, answer.headers[name][0])
        end
    end
    -- Last: HAProxy carries on after an error in here, and nobody shall pass but with a whole identity.
    txn:set_var("txn.verify_status", answer.status)
end

core.register_action("verify", { "http-req" }, verify, 1)
