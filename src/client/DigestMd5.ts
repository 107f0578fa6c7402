/**
 * The client's side of DIGEST-MD5 (RFC 2831), as far as ZooKeeper's servers use
 * it: one realm, `qop=auth`, no security layer. Pure; `Sasl.digestMd5` wraps it.
 */
import * as Result from "effect/Result"
import { hex, md5 } from "./Md5.ts"

/** In bytes, by RFC 2831. */
const longestChallenge = 2048

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder("utf-8", { fatal: true })

/** What the answer is computed from. */
export interface Answer {
  readonly username: string
  readonly password: string
  readonly cnonce: string
  readonly digestUri: string
}

export interface Challenge {
  readonly realm: string
  readonly nonce: string
}

/** Text in ISO 8859-1 is hashed as such, any other as UTF-8 (RFC 2831, 2.1.2.1). */
const hashed = (text: string): Uint8Array =>
  /[^\0-\u00ff]/.test(text)
    ? utf8.encode(text)
    : Uint8Array.from(text, (character) => character.charCodeAt(0))

const joined = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** `name=value` or `name="value"`, separated by commas; no expression that could be made to run for long. */
const directives = (text: string): ReadonlyArray<readonly [name: string, value: string]> | undefined => {
  const found: Array<readonly [string, string]> = []
  let at = 0
  const skip = () => {
    while (at < text.length && " \t\r\n,".includes(text[at] ?? "")) at++
  }
  for (skip(); at < text.length; skip()) {
    const equals = text.indexOf("=", at)
    if (equals < 0) return undefined
    const name = text.slice(at, equals).trim().toLowerCase()
    at = equals + 1
    let value = ""
    if (text[at] === "\"") {
      for (at++; text[at] !== "\""; at++) {
        if (text[at] === "\\") at++
        if (at >= text.length) return undefined
        value += text[at]
      }
      at++
    } else {
      const comma = text.indexOf(",", at)
      value = text.slice(at, comma < 0 ? undefined : comma).trim()
      at = comma < 0 ? text.length : comma
    }
    found.push([name, value])
  }
  return found
}

const parsed = (bytes: Uint8Array): Result.Result<ReadonlyMap<string, string>, string> => {
  if (bytes.length > longestChallenge) return Result.fail(`a challenge of ${bytes.length} bytes`)
  let text: string
  try {
    text = fromUtf8.decode(bytes)
  } catch {
    return Result.fail("a challenge that is not UTF-8")
  }
  const all = directives(text)
  if (all === undefined) return Result.fail("a challenge that cannot be read")
  const first = new Map<string, string>()
  // Of several realms the first one is meant.
  for (const [name, value] of all) if (!first.has(name)) first.set(name, value)
  return Result.succeed(first)
}

/** What the server asks; a problem where it asks for what is not spoken here. */
export const parseChallenge = (bytes: Uint8Array): Result.Result<Challenge, string> => {
  if (bytes.length === 0) return Result.fail("the server sent no challenge: it has no DIGEST-MD5 configured")
  return Result.flatMap(parsed(bytes), (found) => {
    const nonce = found.get("nonce") ?? ""
    const qop = (found.get("qop") ?? "auth").split(",").map((each) => each.trim())
    if (found.get("algorithm") !== "md5-sess") return Result.fail("a challenge that is not for md5-sess")
    if (nonce === "") return Result.fail("a challenge without a nonce")
    if (!qop.includes("auth")) return Result.fail("the server demands a security layer (qop)")
    return Result.succeed({ nonce, realm: found.get("realm") ?? "" })
  })
}

const digest = ({ nonce, realm }: Challenge, answer: Answer, method: string): string => {
  const { cnonce, digestUri, password, username } = answer
  const secret = md5(joined(hashed(username), hashed(":"), hashed(realm), hashed(":"), hashed(password)))
  const a1 = hex(md5(joined(secret, utf8.encode(`:${nonce}:${cnonce}`))))
  const a2 = hex(md5(utf8.encode(`${method}:${digestUri}`)))
  return hex(md5(utf8.encode(`${a1}:${nonce}:00000001:${cnonce}:auth:${a2}`)))
}

const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, "\\$&")}"`

/** What goes to the server. */
export const respond = (challenge: Challenge, answer: Answer): Uint8Array =>
  utf8.encode([
    "charset=utf-8",
    `username=${quoted(answer.username)}`,
    `realm=${quoted(challenge.realm)}`,
    `nonce=${quoted(challenge.nonce)}`,
    "nc=00000001",
    `cnonce=${quoted(answer.cnonce)}`,
    `digest-uri=${quoted(answer.digestUri)}`,
    `response=${digest(challenge, answer, "AUTHENTICATE")}`,
    "qop=auth"
  ].join(","))

/** What only a server that knows the password can send back. */
export const rspauth = (challenge: Challenge, answer: Answer): string => digest(challenge, answer, "")

/** A problem unless the server has proven that it knows the password. */
export const verify = (bytes: Uint8Array, challenge: Challenge, answer: Answer): Result.Result<void, string> =>
  Result.flatMap(parsed(bytes), (found) =>
    found.get("rspauth") === rspauth(challenge, answer)
      ? Result.succeed(undefined)
      : Result.fail("the server could not prove that it knows the password"))
