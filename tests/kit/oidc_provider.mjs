// panva's oidc-provider, and a remote MCP server behind it: `node oidc_provider.mjs SETUP`.
// SETUP is JSON: clients, and where documents of clients at https://bot.example are to be read.
// Prints its issuer when it listens, then one line for each successful grant and each revocation.
import http from "node:http";

URL.parse ??= (text, base) => (URL.canParse(text, base) ? new URL(text, base) : null);
const { Provider, errors } = await import("oidc-provider");
const { clients, documents, features } = JSON.parse(process.argv[2]);

const server = http.createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
const resource = `${issuer}/mcp`;
const about = `${issuer}/.well-known/oauth-protected-resource/mcp`;

const provider = new Provider(issuer, {
  clients,
  scopes: ["openid", "profile", "offline_access", "notes:read", "notes:write"],
  claims: { openid: ["sub"], profile: ["name", "preferred_username"] },
  conformIdTokenClaims: false,
  cookies: { keys: ["a key of this test alone"] },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: `${id} Lisa`, preferred_username: id }),
  }),
  fetch: (url, options) => {
    const { dispatcher, ...rest } = options; // which keeps to the internet
    return globalThis.fetch(String(url).replace("https://bot.example", documents), rest);
  },
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed("refresh_token"),
  rotateRefreshToken: true,
  enabledJWA: {
    clientAuthSigningAlgValues: ["ES256", "RS256", "PS256", "EdDSA"],
  },
  features: {
    dPoP: { enabled: true },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
    registration: { enabled: false },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (ctx, indicator) => {
        if (indicator !== resource) throw new errors.InvalidTarget();
        return { scope: "notes:read notes:write", accessTokenTTL: 120, accessTokenFormat: "opaque" };
      },
      useGrantedResource: () => false,
    },
    ...features,
  },
});

const told = (kind) => (...given) => {
  const ctx = given.at(0)?.oidc ? given[0] : null;
  const { grant_type, resource: asked } = ctx?.oidc.params ?? {};
  const method = ctx?.oidc.client?.clientAuthMethod ?? "";
  console.log(JSON.stringify({ kind, grant_type, asked, method, error: given[1]?.error_detail ?? given[1]?.message }));
};
provider.on("grant.success", told("grant"));
provider.on("grant.error", told("refusal"));
provider.on("grant.revoked", told("revoked"));
provider.on("pushed_authorization_request.success", told("pushed"));
provider.on("pushed_authorization_request.error", told("refusal"));
provider.on("authorization.error", told("refused"));
provider.on("server_error", told("fault"));

const app = provider.callback();
server.on("request", async (request, response) => {
  if (request.url === "/.well-known/oauth-protected-resource/mcp") {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ resource, authorization_servers: [issuer], scopes_supported: ["notes:read"] }));
  } else if (request.url === "/mcp") {
    const token = await provider.AccessToken.find(request.headers.authorization?.slice(7) ?? "");
    const wanted = request.headers["x-scope"] ?? "notes:read";
    const fault = token?.aud !== resource ? "invalid_token" : !token.scopes.has(wanted) && "insufficient_scope";
    response.statusCode = { invalid_token: 401, insufficient_scope: 403 }[fault] ?? 200;
    if (fault)
      response.setHeader("www-authenticate", `Bearer error="${fault}", scope="${wanted}", resource_metadata="${about}"`);
    response.end(JSON.stringify({ account: token?.accountId ?? null }));
  } else app(request, response);
});
console.log(JSON.stringify({ issuer }));
