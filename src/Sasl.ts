/**
 * SASL: a conversation of tokens by which client and server convince each other
 * of who they are, before anything else is sent on a connection. It is held from
 * scratch on every connection.
 *
 * {@link digestMd5} is the mechanism that ZooKeeper's servers have built in.
 * Others, such as GSSAPI (Kerberos), are provided by implementing
 * {@link Mechanism}; as the option `sasl` of the client, or as the service
 * {@link SaslMechanism} in the context in which it is built.
 *
 * A refusal is final: every request, watch and lock fails with `AuthFailed`.
 *
 * DIGEST-MD5 is obsolete (RFC 6331): it hides the password from listeners, but
 * what it sends can be searched for weak ones, and nothing behind it is
 * protected. Use it inside TLS.
 *
 * @example
 * ```ts
 * import * as Config from "effect/Config"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Sasl from "effect-zookeeper/Sasl"
 * import { ZooKeeperLive } from "effect-zookeeper/ZooKeeper"
 *
 * export const layer = Layer.unwrap(Effect.map(Config.Redacted("ZK_PASSWORD"), (password) =>
 *   ZooKeeperLive({
 *     hosts: "zk1.example:2281",
 *     tls: true,
 *     sasl: Sasl.digestMd5({ username: "alice", password })
 *   })))
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as DigestMd5 from "./client/DigestMd5.ts"
import { hex } from "./client/Md5.ts"
import type { Host } from "./ConnectionString.ts"

/**
 * The mechanism cannot go on. Final like a refusal by the server, unless
 * `isPassing` (no ticket yet, no key centre in reach): then this connection is
 * given up and the next one tries again.
 *
 * @category errors
 * @since 0.1.0
 */
export class SaslError extends Schema.TaggedError<SaslError>("~effect-zookeeper/Sasl/SaslError")("SaslError", {
  /** For people; never a secret. */
  detail: Schema.String,
  isPassing: Schema.Boolean
}) {
  override get message() {
    return this.detail
  }
}

/**
 * One conversation, on one connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface Exchange {
  /** What we say first. May be empty, and is for mechanisms in which the server begins. */
  readonly initial: Uint8Array
  /**
   * Answers what the server said (empty where it said nothing). `None` ends the
   * conversation: the server is who it claims to be, and knows who we are.
   */
  readonly respond: (challenge: Uint8Array) => Effect.Effect<Option.Option<Uint8Array>, SaslError>
}

/**
 * A way to authenticate.
 *
 * @category models
 * @since 0.1.0
 */
export interface Mechanism {
  /** For people: `"DIGEST-MD5"`, `"GSSAPI"`. ZooKeeper does not negotiate it. */
  readonly name: string
  /**
   * Begins a conversation with a server; the host is named as in `hosts`. Called
   * for every connection, whose scope it is given.
   */
  readonly start: (server: Host) => Effect.Effect<Exchange, SaslError, Scope.Scope>
}

/**
 * The mechanism to authenticate with, where the option `sasl` does not name one.
 *
 * @category services
 * @since 0.1.0
 */
export class SaslMechanism extends Context.Service<SaslMechanism, Mechanism>()("effect-zookeeper/Sasl/SaslMechanism") {}

/** ZooKeeper's name of itself, host part and realm of its own choice included. */
const digestUri = "zookeeper/zk-sasl-md5"

const refuse = (detail: string) => new SaslError({ detail, isPassing: false })

/**
 * DIGEST-MD5 with user and password, as the server has them in its JAAS file. The
 * server must prove that it knows the password, too; what either side refuses is
 * `AuthFailed`, for good. The example is at the top of this module. Source:
 * RFC 2831, kazoo's `sasl_options`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const digestMd5 = (options: {
  readonly username: string
  readonly password: Redacted.Redacted<string> | string
}): Mechanism => {
  const password = typeof options.password === "string" ? Redacted.make(options.password) : options.password
  return {
    name: "DIGEST-MD5",
    start: () =>
      Effect.sync((): Exchange => {
        const answer = (): DigestMd5.Answer => ({
          username: options.username,
          password: Redacted.value(password),
          cnonce,
          digestUri
        })
        const cnonce = hex(globalThis.crypto.getRandomValues(new Uint8Array(16)))
        let asked: DigestMd5.Challenge | undefined
        const respond = (token: Uint8Array): Result.Result<Option.Option<Uint8Array>, string> => {
          if (asked !== undefined) return Result.map(DigestMd5.verify(token, asked, answer()), Option.none)
          return Result.map(DigestMd5.parseChallenge(token), (challenge) => {
            asked = challenge
            return Option.some(DigestMd5.respond(challenge, answer()))
          })
        }
        return {
          initial: new Uint8Array(0),
          respond: (token) =>
            Effect.suspend(() => Effect.mapError(Effect.fromResult(respond(token)), refuse))
        }
      })
  }
}
