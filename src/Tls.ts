/**
 * TLS to the servers: whom we trust, who we are, and what is negotiated.
 *
 * The chain and the name of the server's certificate are always verified,
 * against the name that stands in `hosts` (an address must be an IP address of
 * the certificate), never against what a resolver answers. There is no fallback
 * to plain text.
 *
 * Files are read again for every connection that is made, so a renewed
 * certificate is used from the next connection on, without a restart.
 *
 * What goes wrong is a `ConnectionError` with reason `Tls`, or, when the layer
 * is built, one with reason `Unreachable` whose `reasons` hold it: see
 * `TlsProblem` for the list. The client goes on trying with growing pauses.
 *
 * On the server: `secureClientPort`, the Netty connection factory, and its
 * `ssl.*` settings. With a client certificate and the server's
 * `authProvider.x509` the connection has the identity `Acl.x509(subject)`.
 *
 * @example
 * ```ts
 * import * as Config from "effect/Config"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Tls from "effect-zookeeper/Tls"
 * import { ZooKeeperLive } from "effect-zookeeper/ZooKeeper"
 *
 * export const layer = Layer.unwrap(Effect.map(Config.Redacted("ZK_KEY_PASSPHRASE"), (passphrase) =>
 *   ZooKeeperLive({
 *     hosts: "zk1.example:2281,zk2.example:2281",
 *     tls: {
 *       ca: Tls.file("/etc/zookeeper/ca.pem"),
 *       cert: Tls.file("/etc/zookeeper/client.pem"),
 *       key: Tls.file("/etc/zookeeper/client.key"),
 *       passphrase
 *     }
 *   })))
 * ```
 *
 * @since 0.1.0
 */
import type * as Redacted from "effect/Redacted"
import { BadArguments } from "./ZooKeeperError.ts"

/**
 * A file that is read for every connection anew.
 *
 * @category models
 * @since 0.1.0
 */
export interface File {
  /** Its path, absolute or from where the process was started. */
  readonly file: string
}

/**
 * A file that is read for every connection anew. One that cannot be read is the
 * problem `"BadCredentials"` of that connection.
 *
 * @category constructors
 * @since 0.1.0
 */
export const file = (path: string): File => ({ file: path })

/**
 * PEM text, or a file of it.
 *
 * @category models
 * @since 0.1.0
 */
export type Pem = string | Redacted.Redacted<string> | File

/**
 * A version of the protocol.
 *
 * @category models
 * @since 0.1.0
 */
export type Version = "TLSv1.2" | "TLSv1.3"

/**
 * How TLS is spoken; `{}` trusts what Node trusts, and shows no certificate.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Certificates of the authorities to trust, and no others; each may be a bundle. @default those of Node */
  readonly ca?: Pem | ReadonlyArray<Pem> | undefined
  /** Our certificate, followed by the intermediate ones if there are any. */
  readonly cert?: Pem | undefined
  /** The private key of `cert`. */
  readonly key?: Pem | undefined
  /** Certificate and key in one PKCS#12 archive, instead of `cert` and `key`. */
  readonly pkcs12?: Uint8Array | File | undefined
  /** Of the key or the archive, where that is encrypted. */
  readonly passphrase?: Redacted.Redacted<string> | string | undefined
  /** @default "TLSv1.2" */
  readonly minVersion?: Version | undefined
  /** @default the newest that Node has */
  readonly maxVersion?: Version | undefined
  /** In OpenSSL's notation. @default Node's */
  readonly ciphers?: string | undefined
  /** The name to ask for (SNI) and to verify. @default the server's name in `hosts`; no SNI for an address */
  readonly servername?: string | undefined
  /**
   * Gives up what TLS is for: `"hostname"` accepts a certificate of another
   * host, `"all"` accepts anybody's. For experiments.
   */
  readonly dangerouslySkipVerification?: "hostname" | "all" | undefined
}

const refuse = (argument: string, problem: string): BadArguments =>
  new BadArguments({ argument: `tls.${argument}`, value: "", problem })

/**
 * What is wrong with the options, where that can be said without a connection.
 *
 * @example
 * ```ts
 * import * as Tls from "effect-zookeeper/Tls"
 *
 * Tls.problemOf({ ca: Tls.file("ca.pem") }) // => undefined
 * Tls.problemOf({ cert: Tls.file("client.pem") })?.argument // => "tls.key"
 * ```
 *
 * @category validation
 * @since 0.1.0
 */
export const problemOf = (options: Options): BadArguments | undefined => {
  if ((options.cert === undefined) !== (options.key === undefined)) {
    return refuse(options.cert === undefined ? "cert" : "key", "cert and key are given together, or neither")
  }
  if (options.pkcs12 !== undefined && options.cert !== undefined) {
    return refuse("pkcs12", "the archive takes the place of cert and key: give one of them")
  }
  if (options.passphrase !== undefined && options.key === undefined && options.pkcs12 === undefined) {
    return refuse("passphrase", "there is no key or archive that it could open")
  }
  if (options.minVersion === "TLSv1.3" && options.maxVersion === "TLSv1.2") {
    return refuse("maxVersion", "is below minVersion")
  }
  return undefined
}
