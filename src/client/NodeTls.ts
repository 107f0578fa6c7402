/**
 * TLS through Node: certificates, verification, and what its errors mean.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Socket from "effect/socket/Socket"
import { readFile } from "node:fs/promises"
import * as Net from "node:net"
import * as NodeTls from "node:tls"
import type { Host } from "../ConnectionString.ts"
import type { File, Options, Pem } from "../Tls.ts"
import { Tls, type TlsProblem } from "../ZooKeeperError.ts"
import { failure, type Lookup, make, type Opening } from "./NodeTransport.ts"

const problems: { readonly [code: string]: TlsProblem } = {
  CERT_HAS_EXPIRED: "ExpiredCertificate",
  CERT_NOT_YET_VALID: "NotYetValidCertificate",
  ERR_TLS_CERT_ALTNAME_INVALID: "WrongHost",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "UnknownAuthority",
  UNABLE_TO_GET_ISSUER_CERT: "UnknownAuthority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "UnknownAuthority",
  SELF_SIGNED_CERT_IN_CHAIN: "UnknownAuthority",
  DEPTH_ZERO_SELF_SIGNED_CERT: "UnknownAuthority",
  CERT_UNTRUSTED: "UnknownAuthority",
  CERT_SIGNATURE_FAILURE: "BadCertificate",
  CERT_REVOKED: "BadCertificate",
  CERT_REJECTED: "BadCertificate",
  INVALID_CA: "BadCertificate",
  INVALID_PURPOSE: "BadCertificate",
  PATH_LENGTH_EXCEEDED: "BadCertificate",
  CERT_CHAIN_TOO_LONG: "BadCertificate",
  ERR_SSL_EE_KEY_TOO_SMALL: "BadCertificate",
  ERR_SSL_UNSUPPORTED_PROTOCOL: "NothingInCommon",
  ERR_SSL_WRONG_VERSION_NUMBER: "PlainServer",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "PlainServer"
}

/** What a server tells us; the names before them change with the versions of OpenSSL. */
const alerts: { readonly [alert: string]: TlsProblem } = {
  CERTIFICATE_REQUIRED: "ClientCertificateRefused",
  BAD_CERTIFICATE: "ClientCertificateRefused",
  UNSUPPORTED_CERTIFICATE: "ClientCertificateRefused",
  CERTIFICATE_REVOKED: "ClientCertificateRefused",
  CERTIFICATE_EXPIRED: "ClientCertificateRefused",
  CERTIFICATE_UNKNOWN: "ClientCertificateRefused",
  UNKNOWN_CA: "ClientCertificateRefused",
  ACCESS_DENIED: "ClientCertificateRefused",
  PROTOCOL_VERSION: "NothingInCommon",
  INSUFFICIENT_SECURITY: "NothingInCommon",
  HANDSHAKE_FAILURE: "NothingInCommon"
}

const codeOf = (error: Error): string => "code" in error && typeof error.code === "string" ? error.code : ""

/** OpenSSL's own words, without the places in its source. */
const wordsOf = (error: Error): string => "reason" in error && typeof error.reason === "string" ? error.reason : error.message

/** What an error says; those of TCP itself stay as they are. */
const explain = (cause: Error, socket: Net.Socket): unknown => {
  const code = codeOf(cause)
  const tls = socket instanceof NodeTls.TLSSocket ? socket : undefined
  const [, alert = ""] = /^ERR_SSL_.*ALERT_(.*)$/.exec(code) ?? []
  // Newer Java says to a client without a certificate what it says where no cipher fits; but by then there is one.
  const known = alert === "HANDSHAKE_FAILURE" && tls?.getCipher() !== undefined
    ? "ClientCertificateRefused"
    : problems[code] ?? alerts[alert]
  if (known !== undefined) return new Tls({ problem: known, detail: wordsOf(cause) })
  // Node's own words for a peer that went away before the handshake was over.
  const isOurHandshake = tls !== undefined && !socket.connecting && tls.getProtocol() === null
  if (code === "ECONNRESET" && (isOurHandshake || cause.message.includes("before secure TLS connection"))) {
    return new Tls({ problem: "PlainServer", detail: cause.message })
  }
  return code.startsWith("ERR_SSL") || code.startsWith("ERR_TLS")
    ? new Tls({ problem: "Other", detail: `${wordsOf(cause)} (${code})` })
    : cause
}

const bad = (detail: string): Socket.SocketError =>
  failure(
    new Socket.SocketOpenError({ kind: "Unknown", cause: new Tls({ problem: "BadCredentials", detail }) })
  )

const isFile = (value: Pem | Uint8Array): value is File =>
  typeof value === "object" && "file" in value && typeof value.file === "string"

const read = ({ file }: File): Effect.Effect<Uint8Array, Socket.SocketError> =>
  Effect.tryPromise({ try: () => readFile(file), catch: (error) => bad(String(error)) })

const pem = (value: Pem): Effect.Effect<string | Buffer, Socket.SocketError> =>
  typeof value === "string"
    ? Effect.succeed(value)
    : isFile(value)
    ? Effect.map(read(value), Buffer.from)
    : Effect.succeed(Redacted.value(value))

const optional = <A, B, E>(
  value: A | undefined,
  f: (value: A) => Effect.Effect<B, E>
): Effect.Effect<B | undefined, E> => value === undefined ? Effect.undefined : f(value)

const isMany = (ca: Pem | ReadonlyArray<Pem>): ca is ReadonlyArray<Pem> => Array.isArray(ca)

const secureContext = Effect.fnUntraced(function*(options: Options) {
  const { passphrase, pkcs12 } = options
  const given = {
    ca: yield* optional(options.ca, (ca) => Effect.forEach(isMany(ca) ? ca : [ca], pem)),
    cert: yield* optional(options.cert, pem),
    key: yield* optional(options.key, pem),
    pfx: yield* optional(pkcs12, (archive) =>
      Effect.map(isFile(archive) ? read(archive) : Effect.succeed(archive), Buffer.from)),
    passphrase: passphrase === undefined || typeof passphrase === "string" ? passphrase : Redacted.value(passphrase),
    ciphers: options.ciphers,
    minVersion: options.minVersion ?? "TLSv1.2" as const,
    maxVersion: options.maxVersion
  }
  return yield* Effect.try({
    // Node takes an option that is there and undefined for one that is not there.
    try: () => NodeTls.createSecureContext(given as NodeTls.SecureContextOptions),
    catch: (error) => bad(error instanceof Error ? error.message : String(error))
  })
})

/** A name as certificates know it: without the dot of the root, an address without its zone. */
const bare = (name: string): string => name.replace(/%.*$/, "").replace(/\.$/, "")

const opening = (server: Host, options: Options): Effect.Effect<Opening, Socket.SocketError> =>
  Effect.map(secureContext(options), (secureContext): Opening => {
    const name = bare(options.servername ?? server.host)
    return {
      connect: (tcp) =>
        NodeTls.connect({
          ...tcp,
          secureContext,
          rejectUnauthorized: options.dangerouslySkipVerification !== "all",
          // SNI is for names: an address is not sent.
          ...(Net.isIP(name) === 0 ? { servername: name } : {}),
          checkServerIdentity: (_, certificate) =>
            options.dangerouslySkipVerification === undefined
              ? NodeTls.checkServerIdentity(name, certificate)
              : undefined
        }),
      opened: "secureConnect",
      explain
    }
  })

/** TLS over TCP; names are resolved and certificates read anew each time the socket's reader is acquired. */
export const dial = (options: Options) => (server: Host, lookup?: Lookup): Effect.Effect<Socket.Socket> =>
  make(server, opening(server, options), lookup)
