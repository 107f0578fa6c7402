/**
 * The options of the client under fixed names, for `ZooKeeper.layerConfig()`:
 * environment variables by default, and any other `ConfigProvider` (a directory
 * of files as Kubernetes mounts it, JSON, a `.env` file).
 *
 * | name | option | form |
 * | --- | --- | --- |
 * | `ZOOKEEPER_HOSTS` | `hosts` | required: `zk1:2181,zk2:2181/chroot`, `dns-srv://name/chroot` |
 * | `ZOOKEEPER_SESSION_TIMEOUT` | `sessionTimeout` | `10 seconds`; so all durations |
 * | `ZOOKEEPER_CONNECT_TIMEOUT` | `connectTimeout` | |
 * | `ZOOKEEPER_CLOSE_TIMEOUT` | `closeTimeout` | |
 * | `ZOOKEEPER_REQUEST_TIMEOUT` | `requestTimeout` | |
 * | `ZOOKEEPER_READ_ONLY` | `readOnly` | `true`, `false`; so all switches |
 * | `ZOOKEEPER_FAIL_FAST` | `failFast` | |
 * | `ZOOKEEPER_FOLLOW_CONFIG` | `followConfig` | |
 * | `ZOOKEEPER_ON_EXPIRY` | `onExpiry` | `renew`, `end` |
 * | `ZOOKEEPER_MAX_REQUEST_SIZE` | `maxRequestSize` | bytes |
 * | `ZOOKEEPER_MAX_REPLY_SIZE` | `maxReplySize` | bytes |
 * | `ZOOKEEPER_MAX_IN_FLIGHT` | `maxInFlight` | |
 * | `ZOOKEEPER_DEFAULT_ACL` | `defaultAcl` | `creator`, `open`, `read` |
 * | `ZOOKEEPER_DIGEST` | `auth` | secret: `user:password` of scheme digest |
 * | `ZOOKEEPER_AUTH` | `auth` | secret: `scheme:credential`, one a line: further identities |
 * | `ZOOKEEPER_SASL_USERNAME`, `…_SASL_PASSWORD` | `sasl` | the second is secret; DIGEST-MD5 |
 * | `ZOOKEEPER_TLS` | `tls` | switch; any of those below switches it on, too |
 * | `ZOOKEEPER_TLS_CA`, `…_CERT`, `…_KEY`, `…_PKCS12` | `tls.ca`, … | files |
 * | `ZOOKEEPER_TLS_PASSPHRASE` | `tls.passphrase` | secret |
 * | `ZOOKEEPER_TLS_MIN_VERSION`, `…_MAX_VERSION` | `tls.minVersion`, … | `TLSv1.2`, `TLSv1.3` |
 * | `ZOOKEEPER_TLS_CIPHERS`, `…_SERVERNAME` | `tls.ciphers`, `tls.servername` | |
 *
 * What is malformed is a `ConfigError` that names the key; what is missing takes
 * the option's default.
 *
 * Not here, and added as in the example: what is no text (`reconnect`, `resume`,
 * `dial`, `lookupSrv`, other mechanisms of `sasl`, a function as `followConfig`),
 * ACLs that name somebody as `defaultAcl`, and
 * `tls.dangerouslySkipVerification`, which no environment should switch on.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Schedule from "effect/Schedule"
 * import * as ZooKeeper from "effect-zookeeper/ZooKeeper"
 * import * as ZooKeeperConfig from "effect-zookeeper/ZooKeeperConfig"
 *
 * // All from the environment:
 * export const layer = ZooKeeper.layerConfig()
 *
 * // Some of it from the program:
 * export const patient = Layer.unwrap(Effect.map(ZooKeeperConfig.options(), (options) =>
 *   ZooKeeper.layer({ ...options, reconnect: Schedule.spaced("1 second") })))
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Acl from "./Acl.ts"
import * as ConnectionString from "./ConnectionString.ts"
import * as Sasl from "./Sasl.ts"
import * as Tls from "./Tls.ts"
import type { Options } from "./ZooKeeper.ts"

const acls = { creator: Acl.creatorAll, open: Acl.openUnsafe, read: Acl.readUnsafe }

/** Only what is there: an option that is absent has its default. */
const optional = <A>(config: Config.Config<A>): Config.Config<A | undefined> =>
  Config.map(Config.option(config), Option.getOrUndefined)

/** Looked at here, so that what is wrong names the key; the names of SRV records are for the client to judge. */
const hosts = Schema.String.check(Schema.makeFilter((text) =>
  text.startsWith("dns-srv://")
    ? undefined
    : Result.match(ConnectionString.parseResult(text), { onFailure: ({ problem }) => problem, onSuccess: () => undefined })
))

const file = (name: string) => Config.map(Config.NonEmptyString(name), Tls.file)

const version = (name: string) => Config.Literals(["TLSv1.2", "TLSv1.3"], name)

const lines = (text: string): ReadonlyArray<string> => text.split(/\r?\n/).filter((line) => line !== "")

/** What is wrong with it is said without showing it. */
const identities = Schema.Redacted(Schema.String).check(Schema.makeFilter((secret) => {
  const at = lines(Redacted.value(secret)).findIndex((line) => line.indexOf(":") <= 0)
  return at < 0 ? undefined : `expected scheme:credential in each line, line ${at + 1} is something else`
}))

const identityOf = (line: string) => {
  const colon = line.indexOf(":")
  return { scheme: line.slice(0, colon), credential: Redacted.make(line.slice(colon + 1)) }
}

const authOf = (prefix: string): Config.Config<Options["auth"]> =>
  Config.map(
    Config.all({
      digest: optional(Config.Redacted(`${prefix}_DIGEST`)),
      others: optional(Config.schema(identities, `${prefix}_AUTH`))
    }),
    ({ digest, others }) => {
      const all = others === undefined ? [] : lines(Redacted.value(others)).map(identityOf)
      if (digest !== undefined) all.unshift({ scheme: "digest", credential: digest })
      return all.length === 0 ? undefined : all
    }
  )

/** Both or none. */
const saslOf = (prefix: string): Config.Config<Sasl.Mechanism | undefined> => {
  const username = Config.NonEmptyString(`${prefix}_SASL_USERNAME`)
  const password = Config.Redacted(`${prefix}_SASL_PASSWORD`)
  return Config.flatMap(Config.all([optional(username), optional(password)]), (given) =>
    given.every((one) => one === undefined)
      ? Config.succeed(undefined)
      : Config.map(Config.all({ username, password }), Sasl.digestMd5))
}

const tlsOf = (prefix: string): Config.Config<boolean | Tls.Options> =>
  Config.map(
    Config.all({
      isOn: optional(Config.Boolean(prefix)),
      options: Config.all({
        ca: optional(file(`${prefix}_CA`)),
        cert: optional(file(`${prefix}_CERT`)),
        key: optional(file(`${prefix}_KEY`)),
        pkcs12: optional(file(`${prefix}_PKCS12`)),
        passphrase: optional(Config.Redacted(`${prefix}_PASSPHRASE`)),
        minVersion: optional(version(`${prefix}_MIN_VERSION`)),
        maxVersion: optional(version(`${prefix}_MAX_VERSION`)),
        ciphers: optional(Config.NonEmptyString(`${prefix}_CIPHERS`)),
        servername: optional(Config.NonEmptyString(`${prefix}_SERVERNAME`))
      })
    }),
    ({ isOn, options }) => {
      const isGiven = Object.values(options).some((value) => value !== undefined)
      return isOn === false || (isOn === undefined && !isGiven) ? false : options
    }
  )

/**
 * All options that have names, which begin with `prefix`: another one for every
 * further ensemble.
 *
 * @category configuration
 * @since 0.1.0
 */
export const options = (prefix = "ZOOKEEPER"): Config.Config<Options> => {
  const named = <A>(name: string, config: (name: string) => Config.Config<A>) => optional(config(`${prefix}_${name}`))
  return Config.all({
    hosts: Config.schema(hosts, `${prefix}_HOSTS`),
    sessionTimeout: named("SESSION_TIMEOUT", Config.Duration),
    connectTimeout: named("CONNECT_TIMEOUT", Config.Duration),
    closeTimeout: named("CLOSE_TIMEOUT", Config.Duration),
    requestTimeout: named("REQUEST_TIMEOUT", Config.Duration),
    readOnly: named("READ_ONLY", Config.Boolean),
    failFast: named("FAIL_FAST", Config.Boolean),
    followConfig: named("FOLLOW_CONFIG", Config.Boolean),
    onExpiry: named("ON_EXPIRY", (name) => Config.Literals(["renew", "end"], name)),
    maxRequestSize: named("MAX_REQUEST_SIZE", Config.Int),
    maxReplySize: named("MAX_REPLY_SIZE", Config.Int),
    maxInFlight: named("MAX_IN_FLIGHT", Config.Int),
    defaultAcl: named("DEFAULT_ACL", (name) =>
      Config.map(Config.Literals(["creator", "open", "read"], name), (acl) => acls[acl])),
    auth: authOf(prefix),
    sasl: saslOf(prefix),
    tls: tlsOf(`${prefix}_TLS`)
  })
}
