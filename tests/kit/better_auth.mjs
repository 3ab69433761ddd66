// Writes an account as Better Auth does: by its own migrations, and its own adapter.
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { SqliteDialect } from "kysely";
import wasm from "node-sqlite3-wasm";

const file = new wasm.Database(process.argv[2]);
const database = {
  prepare(sql) {
    const reader = /^\s*(select|with|pragma)|returning/i.test(sql);
    return {
      reader,
      all: (values) => file.all(sql, values),
      run: (values) => {
        const { changes, lastInsertRowId } = file.run(sql, values);
        return { changes, lastInsertRowid: lastInsertRowId };
      },
    };
  },
  close: () => file.close(),
};
const options = {
  database: { dialect: new SqliteDialect({ database }), type: "sqlite" },
  secret: "a-secret-of-thirty-two-characters-or-more",
  baseURL: "http://localhost:3000",
  emailAndPassword: { enabled: true },
};
const auth = betterAuth(options);
await (await getMigrations(options)).runMigrations();
const body = { name: "Ann", email: "ann@example.org", password: "password-of-ann" };
const { user } = await auth.api.signUpEmail({ body });
const { internalAdapter } = await auth.$context;
await internalAdapter.createAccount({
  userId: user.id,
  providerId: "github",
  accountId: "42",
  accessToken: "old-access",
  refreshToken: "old-refresh",
  accessTokenExpiresAt: new Date(process.argv[3]),
  scope: "read:user,user:email",
});
file.close();
console.log(user.id);
