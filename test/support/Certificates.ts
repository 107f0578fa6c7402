/**
 * An authority of our own and certificates from it, made by openssl in a
 * directory that goes with the scope.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { execFileSync } from "node:child_process"
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface Certificates {
  /** File of the authority's certificate. */
  readonly ca: string
  /** File of the certificate of another authority, from which nothing is here. */
  readonly otherCa: string
  /** File of both authorities' certificates, the other one's first. */
  readonly authorities: string
  /** File of the certificate with this name. */
  readonly cert: (name: string) => string
  /** File of its key. */
  readonly key: (name: string) => string
  /** File of both, key first. */
  readonly bundle: (name: string) => string
  /** File of both as PKCS#12, under {@link passphrase}. */
  readonly pkcs12: (name: string) => string
  /** File of the key, encrypted under {@link passphrase}. */
  readonly encryptedKey: (name: string) => string
  /** Makes one more; `names` as openssl writes subject alternative names. */
  readonly issue: (name: string, options: Issue) => void
}

export interface Issue {
  readonly subject: string
  readonly names: string
  /** From and to, as `YYYYMMDDHHMMSSZ`. @default from now, for a day */
  readonly between?: readonly [from: string, to: string] | undefined
  /** Signed by itself and not by the authority. @default false */
  readonly selfSigned?: boolean | undefined
}

export const passphrase = "open sesame"

/** Whether certificates can be made here. */
export const canMake: boolean = (() => {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
})()

/** `server` (localhost, 127.0.0.1, ::1), `client` (OU=test, CN=zkclient), `expired`, `future`, `elsewhere`, `stranger`. */
export const make: Effect.Effect<Certificates, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-zookeeper-certificates-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  ),
  (directory) => {
    const at = (file: string) => join(directory, file)
    const openssl = (...parameters: ReadonlyArray<string>) =>
      execFileSync("openssl", parameters, { cwd: directory, stdio: ["ignore", "ignore", "ignore"] })
    const key = (name: string) => openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", `${name}.key`)

    writeFileSync(
      at("ca.conf"),
      "[ca]\ndefault_ca=own\n[own]\ndir=.\ndatabase=index.txt\nnew_certs_dir=.\nserial=serial\ndefault_md=sha256\n" +
        "policy=any\nunique_subject=no\nrand_serial=yes\n[any]\norganizationalUnitName=optional\ncommonName=supplied\n" +
        "[req]\ndistinguished_name=dn\n[dn]\n[authority]\nbasicConstraints=critical,CA:true\nkeyUsage=keyCertSign,cRLSign\n"
    )
    writeFileSync(at("index.txt"), "")
    const authority = (name: string, subject: string) => {
      key(name)
      openssl("req", "-x509", "-new", "-config", "ca.conf", "-extensions", "authority", "-key", `${name}.key`, "-days",
        "3650", "-subj", subject, "-out", `${name}.pem`)
    }
    authority("ca", "/CN=effect-zookeeper test authority")
    authority("other", "/CN=another authority")
    writeFileSync(at("authorities.pem"), readFileSync(at("other.pem"), "utf8") + readFileSync(at("ca.pem"), "utf8"))

    const issue = (name: string, { between, names, selfSigned = false, subject }: Issue) => {
      key(name)
      const extensions = `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`
      writeFileSync(at(`${name}.ext`), extensions)
      openssl("req", "-new", "-config", "ca.conf", "-key", `${name}.key`, "-subj", subject, "-out", `${name}.csr`)
      if (selfSigned) {
        openssl("x509", "-req", "-in", `${name}.csr`, "-key", `${name}.key`, "-days", "1", "-extfile", `${name}.ext`,
          "-out", `${name}.pem`)
      } else {
        const time = between === undefined ? ["-days", "1"] : ["-startdate", between[0], "-enddate", between[1]]
        openssl("ca", "-batch", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", `${name}.csr`,
          "-extfile", `${name}.ext`, "-notext", "-out", `${name}.pem`, ...time)
      }
      writeFileSync(at(`${name}.bundle.pem`), readFileSync(at(`${name}.key`)))
      appendFileSync(at(`${name}.bundle.pem`), readFileSync(at(`${name}.pem`)))
      openssl("pkcs12", "-export", "-in", `${name}.pem`, "-inkey", `${name}.key`, "-passout", `pass:${passphrase}`,
        "-out", `${name}.p12`)
      openssl("pkcs8", "-topk8", "-in", `${name}.key`, "-v2", "aes256", "-passout", `pass:${passphrase}`, "-out",
        `${name}.encrypted.key`)
    }
    const here = "DNS:localhost,IP:127.0.0.1,IP:::1"
    issue("server", { subject: "/CN=localhost", names: here })
    issue("client", { subject: "/OU=test/CN=zkclient", names: "DNS:zkclient" })
    issue("expired", { subject: "/CN=localhost", names: here, between: ["20200101000000Z", "20200201000000Z"] })
    issue("future", { subject: "/CN=localhost", names: here, between: ["20900101000000Z", "20910101000000Z"] })
    issue("elsewhere", { subject: "/CN=elsewhere.example", names: "DNS:elsewhere.example" })
    issue("stranger", { subject: "/CN=localhost", names: here, selfSigned: true })
    return {
      ca: at("ca.pem"),
      otherCa: at("other.pem"),
      authorities: at("authorities.pem"),
      cert: (name) => at(`${name}.pem`),
      key: (name) => at(`${name}.key`),
      bundle: (name) => at(`${name}.bundle.pem`),
      pkcs12: (name) => at(`${name}.p12`),
      encryptedKey: (name) => at(`${name}.encrypted.key`),
      issue
    }
  }
)
