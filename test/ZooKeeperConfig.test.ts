import { assert, describe, it } from "@effect/vitest"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Config, ConfigProvider, Duration, Effect, Layer, Redacted } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import * as Acl from "../src/Acl.ts"
import type * as Tls from "../src/Tls.ts"
import * as ZooKeeper from "../src/ZooKeeper.ts"
import * as ZooKeeperConfig from "../src/ZooKeeperConfig.ts"
import { shared, sharedHost } from "./support/Clients.ts"

const from = (env: Record<string, string>, prefix?: string) =>
  ZooKeeperConfig.options(prefix).parse(ConfigProvider.fromEnv({ env }))

/** A new option is missing here, or in the `Exclude` with a reason in the module's documentation. */
const named: Record<Exclude<keyof ZooKeeper.Options, "reconnect" | "resume" | "dial" | "lookupSrv">, true> = {
  hosts: true,
  sessionTimeout: true,
  connectTimeout: true,
  closeTimeout: true,
  requestTimeout: true,
  readOnly: true,
  failFast: true,
  followConfig: true,
  onExpiry: true,
  maxRequestSize: true,
  maxReplySize: true,
  maxInFlight: true,
  defaultAcl: true,
  auth: true,
  sasl: true,
  tls: true
}

type NamedTls = Required<Omit<Tls.Options, "passphrase" | "dangerouslySkipVerification">>

const given = (options: object) => Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))

describe("ZooKeeperConfig", () => {
  it.effect("hosts alone: everything else keeps its default", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(given(yield* from({ ZOOKEEPER_HOSTS: "zk1,zk2/app" })), { hosts: "zk1,zk2/app", tls: false })
    }))

  it.effect("every option has a name", () =>
    Effect.gen(function*() {
      const options = yield* from({
        ZOOKEEPER_HOSTS: "zk1",
        ZOOKEEPER_SESSION_TIMEOUT: "30 seconds",
        ZOOKEEPER_CONNECT_TIMEOUT: "5 seconds",
        ZOOKEEPER_CLOSE_TIMEOUT: "1 second",
        ZOOKEEPER_REQUEST_TIMEOUT: "2 seconds",
        ZOOKEEPER_READ_ONLY: "true",
        ZOOKEEPER_FAIL_FAST: "no",
        ZOOKEEPER_FOLLOW_CONFIG: "true",
        ZOOKEEPER_ON_EXPIRY: "end",
        ZOOKEEPER_MAX_REQUEST_SIZE: "1000000",
        ZOOKEEPER_MAX_REPLY_SIZE: "2000000",
        ZOOKEEPER_MAX_IN_FLIGHT: "100",
        ZOOKEEPER_DEFAULT_ACL: "creator",
        ZOOKEEPER_DIGEST: "user:SEKRET",
        ZOOKEEPER_AUTH: "digest:other:SEKRET\nours:SEKRET, or so\n",
        ZOOKEEPER_SASL_USERNAME: "alice",
        ZOOKEEPER_SASL_PASSWORD: "SEKRET",
        ZOOKEEPER_TLS_CA: "/ca.pem",
        ZOOKEEPER_TLS_CERT: "/cert.pem",
        ZOOKEEPER_TLS_KEY: "/key.pem",
        ZOOKEEPER_TLS_PASSPHRASE: "SEKRET",
        ZOOKEEPER_TLS_PKCS12: "/client.p12",
        ZOOKEEPER_TLS_MIN_VERSION: "TLSv1.2",
        ZOOKEEPER_TLS_MAX_VERSION: "TLSv1.3",
        ZOOKEEPER_TLS_CIPHERS: "HIGH",
        ZOOKEEPER_TLS_SERVERNAME: "zk.example"
      })
      assert.sameMembers(Object.keys(given(options)), Object.keys(named))
      const { closeTimeout, connectTimeout, requestTimeout, sessionTimeout, tls } = options
      assert.deepStrictEqual(
        [sessionTimeout, connectTimeout, closeTimeout, requestTimeout].map((each) => Duration.toSeconds(each ?? 0)),
        [30, 5, 1, 2]
      )
      assert.strictEqual(options.followConfig, true)
      assert.strictEqual(options.maxRequestSize, 1_000_000)
      assert.strictEqual(options.maxReplySize, 2_000_000)
      const { passphrase, ...rest } = typeof tls === "object" ? tls : {}
      const files: NamedTls = {
        ca: { file: "/ca.pem" },
        cert: { file: "/cert.pem" },
        key: { file: "/key.pem" },
        pkcs12: { file: "/client.p12" },
        minVersion: "TLSv1.2",
        maxVersion: "TLSv1.3",
        ciphers: "HIGH",
        servername: "zk.example"
      }
      assert.deepStrictEqual(rest, files)
      assert.isTrue(Redacted.isRedacted(passphrase))
      assert.deepStrictEqual(options.defaultAcl, Acl.creatorAll)
      assert.strictEqual(options.onExpiry, "end")
      assert.strictEqual(options.readOnly, true)
      assert.strictEqual(options.failFast, false)
      assert.strictEqual(options.maxInFlight, 100)
      assert.strictEqual(options.sasl?.name, "DIGEST-MD5")
      assert.deepStrictEqual(
        options.auth?.map(({ credential, scheme }) => [scheme, Redacted.isRedacted(credential) && Redacted.value(credential)]),
        [["digest", "user:SEKRET"], ["digest", "other:SEKRET"], ["ours", "SEKRET, or so"]]
      )
      assert.notInclude(inspect(options, { depth: 9 }) + JSON.stringify(options), "SEKRET")
    }))

  it.effect("files serve as well: one that lists all, or a folder of secrets", () =>
    Effect.gen(function*() {
      const folder = mkdtempSync(join(tmpdir(), "effect-zookeeper-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true })))
      writeFileSync(join(folder, "zookeeper.env"), "ZOOKEEPER_HOSTS=zk1:2181\nZOOKEEPER_READ_ONLY=true\n")
      writeFileSync(join(folder, "ZOOKEEPER_HOSTS"), "zk2:2181")
      writeFileSync(join(folder, "ZOOKEEPER_DIGEST"), "user:SEKRET")
      const list = yield* ConfigProvider.fromDotEnv({ path: join(folder, "zookeeper.env") })
      assert.deepStrictEqual(given(yield* ZooKeeperConfig.options().parse(list)), {
        hosts: "zk1:2181",
        readOnly: true,
        tls: false
      })
      const secrets = yield* ZooKeeperConfig.options().parse(yield* ConfigProvider.fromDir({ rootPath: folder }))
      assert.strictEqual(secrets.hosts, "zk2:2181")
      assert.isTrue(Redacted.isRedacted(secrets.auth?.[0]?.credential))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.effect("the switch of TLS: on without options, off in spite of them; another prefix", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(given((yield* from({ ZOOKEEPER_HOSTS: "a", ZOOKEEPER_TLS: "true" })).tls as object), {})
      const off = yield* from({ ZOOKEEPER_HOSTS: "a", ZOOKEEPER_TLS: "false", ZOOKEEPER_TLS_CA: "/ca" })
      assert.strictEqual(off.tls, false)
      assert.strictEqual((yield* from({ OTHER_HOSTS: "b" }, "OTHER")).hosts, "b")
    }))

  it.effect("errors name the key", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<readonly [string, Record<string, string>]> = [
        ["ZOOKEEPER_HOSTS", {}],
        ["ZOOKEEPER_HOSTS", { ZOOKEEPER_HOSTS: "" }],
        ["ZOOKEEPER_HOSTS", { ZOOKEEPER_HOSTS: "a:99999" }],
        ["ZOOKEEPER_HOSTS", { ZOOKEEPER_HOSTS: "alice:SEKRET@a:2181" }],
        ["ZOOKEEPER_SESSION_TIMEOUT", { ZOOKEEPER_HOSTS: "a", ZOOKEEPER_SESSION_TIMEOUT: "soon" }],
        ["ZOOKEEPER_READ_ONLY", { ZOOKEEPER_HOSTS: "a", ZOOKEEPER_READ_ONLY: "perhaps" }],
        ["ZOOKEEPER_ON_EXPIRY", { ZOOKEEPER_HOSTS: "a", ZOOKEEPER_ON_EXPIRY: "die" }],
        ["ZOOKEEPER_MAX_IN_FLIGHT", { ZOOKEEPER_HOSTS: "a", ZOOKEEPER_MAX_IN_FLIGHT: "1.5" }],
        ["ZOOKEEPER_AUTH", { ZOOKEEPER_HOSTS: "a", ZOOKEEPER_AUTH: "digest:u:p\nSEKRET" }],
        ["ZOOKEEPER_AUTH", { ZOOKEEPER_HOSTS: "a", ZOOKEEPER_AUTH: ":SEKRET" }],
        ["ZOOKEEPER_SASL_PASSWORD", { ZOOKEEPER_HOSTS: "a", ZOOKEEPER_SASL_USERNAME: "alice" }],
        ["ZOOKEEPER_SASL_USERNAME", { ZOOKEEPER_HOSTS: "a", ZOOKEEPER_SASL_PASSWORD: "SEKRET" }],
        ["ZOOKEEPER_TLS_MIN_VERSION", { ZOOKEEPER_HOSTS: "a", ZOOKEEPER_TLS_MIN_VERSION: "SSLv3" }]
      ]
      for (const [key, env] of wrong) {
        const error = yield* Effect.flip(from(env))
        assert.strictEqual(error._tag, "ConfigError")
        assert.include(error.message, key)
        assert.notInclude(inspect(error, { depth: 9 }) + error.message, "SEKRET")
      }
    }))

  it.live.skipIf(shared === undefined)("layerConfig takes all of it, or a record of Configs", () =>
    Effect.gen(function*() {
      const read = Effect.flatMap(ZooKeeper.ZooKeeper, (zk) => zk.get("/"))
      const provider = ConfigProvider.fromUnknown({ ZOOKEEPER_HOSTS: sharedHost, ZK: sharedHost })
      for (const layer of [ZooKeeper.layerConfig(), ZooKeeper.layerConfig({ hosts: Config.String("ZK") })]) {
        yield* Effect.provide(read, Layer.provide(layer, ConfigProvider.layer(provider)))
      }
    }))
})
