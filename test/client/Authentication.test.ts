/** Schemes of authentication beside digest, SASL and certificates, and a server that demands one. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import { ConnectionError } from "../../src/ZooKeeperError.ts"
import { connect, untilState } from "../support/Clients.ts"
import * as ZooKeeperServer from "../support/ZooKeeperServer.ts"

const reasonOf = (error: unknown) => error instanceof ConnectionError ? error.reason._tag : String(error)

const provider = (name: string) => `org.apache.zookeeper.server.auth.${name}AuthenticationProvider`

describe.skipIf(!ZooKeeperServer.canStart)("Authentication", () => {
  it.live("a scheme that the server demands, schemes of plugins, and what they refuse", () =>
    Effect.gen(function*() {
      const { hosts } = yield* ZooKeeperServer.standalone({
        config: {
          "enforce.auth.enabled": true,
          "enforce.auth.schemes": "digest",
          "authProvider.1": provider("Key"),
          "authProvider.2": provider("Ensemble"),
          "ensembleAuthName": "ours"
        }
      })
      const digest = { scheme: "digest", credential: "alice:secret" }
      const as = (scheme: string, credential: string) => connect({ hosts, auth: [{ scheme, credential }, digest] })

      const alice = yield* connect({ hosts, auth: [digest] })
      // The plugin's: credentials are multiples of what stands there.
      yield* alice.create("/key", "5")
      yield* alice.addAuth("key", "25")
      assert.include((yield* alice.whoAmI).map(({ authScheme }) => authScheme), "key")
      assert.strictEqual(reasonOf(yield* Effect.flip(alice.addAuth("key", "26"))), "AuthFailed")
      assert.strictEqual(reasonOf(yield* Effect.flip(alice.get("/key"))), "AuthFailed")

      const stranger = yield* connect({ hosts })
      assert.strictEqual(reasonOf(yield* Effect.flip(stranger.get("/key"))), "AuthRequired")
      yield* untilState(stranger, "AuthFailed")

      // A client of another ensemble is hung up on, without a word.
      yield* Effect.andThen(as("ensemble", "ours"), (zk) => zk.get("/key"))
      const lost = connect({
        hosts,
        auth: [{ scheme: "ensemble", credential: "theirs" }, digest],
        connectTimeout: "1 second",
        closeTimeout: "100 millis"
      })
      assert.strictEqual(reasonOf(yield* Effect.flip(Effect.scoped(lost))), "Unreachable")
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None")), 60_000)
})
