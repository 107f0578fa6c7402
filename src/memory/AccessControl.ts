/**
 * Who may do what: identities of a connection against the ACL of a znode.
 */
import type { Acl } from "../Acl.ts"
import { ErrorCode } from "../jute/ErrorCode.ts"
import { Refusal } from "./Refusal.ts"

/** Who somebody has proved to be. */
export interface Identity {
  readonly scheme: string
  readonly id: string
}

export type AclList = ReadonlyArray<Acl>

export const Permission = { Read: 1, Write: 2, Create: 4, Delete: 8, Admin: 16 } as const

/** The superuser, whom nothing is denied. */
export const superuser: Identity = { scheme: "super", id: "" }

export const open: AclList = [{ perms: 31, id: { scheme: "world", id: "anyone" } }]
export const readOnly: AclList = [{ perms: 1, id: { scheme: "world", id: "anyone" } }]

// --- ip

/** The four bytes of an IPv4 address or the sixteen of an IPv6 one. */
const bytesOf = (address: string): Uint8Array | undefined => {
  if (address.includes(":")) return bytesOfV6(address)
  const parts = address.split(".")
  if (parts.length !== 4 || !parts.every((part) => /^\+?\d+$/.test(part) && Number(part) <= 255)) return undefined
  return Uint8Array.from(parts, Number)
}

const groups = (text: string): ReadonlyArray<string> => text === "" ? [] : text.split(":")

const bytesOfV6 = (address: string): Uint8Array | undefined => {
  const [head = "", tail, ...rest] = address.split("::")
  const front = groups(head)
  const back = groups(tail ?? "")
  const missing = 8 - front.length - back.length
  if (rest.length > 0 || (tail === undefined ? missing !== 0 : missing < 1)) return undefined
  const all = [...front, ...new Array<string>(missing).fill("0"), ...back]
  if (!all.every((group) => /^[\da-f]{1,4}$/i.test(group))) return undefined
  return Uint8Array.from(all.flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 255]))
}

interface Network {
  readonly address: Uint8Array
  readonly bits: number
}

/** `addr` or `addr/bits`. */
const networkOf = (expression: string): Network | undefined => {
  const slash = expression.indexOf("/")
  const address = bytesOf(slash < 0 ? expression : expression.slice(0, slash))
  if (address === undefined) return undefined
  if (slash < 0) return { address, bits: 8 * address.length }
  const bits = expression.slice(slash + 1)
  return /^[+-]?\d+$/.test(bits) && Number(bits) >= 0 && Number(bits) <= 8 * address.length
    ? { address, bits: Number(bits) }
    : undefined
}

const isWithin = (address: string, expression: string): boolean => {
  const network = networkOf(expression)
  const bytes = bytesOf(address)
  return network !== undefined && bytes?.length === network.address.length && bytes.every((byte, index) => {
    const relevant = Math.min(8, Math.max(0, network.bits - 8 * index))
    return (byte ^ (network.address[index] ?? 0)) >> 8 - relevant === 0
  })
}

// --- schemes

interface Scheme {
  /** Whether an ACL may name such an id. */
  readonly isValid: (id: string) => boolean
  readonly matches: (identity: string, expression: string) => boolean
  /** Whether the `auth` scheme stands for such identities. */
  readonly isAuthenticated: boolean
}

/** As Java splits: empty parts at the end do not count. */
const partsOf = (id: string): number => id.replace(/:+$/, "").split(":").length

const schemes: ReadonlyMap<string, Scheme> = new Map([
  ["digest", {
    isValid: (id) => partsOf(id) === 2,
    matches: (identity, expression) => identity === expression,
    isAuthenticated: true
  }],
  ["ip", { isValid: (id) => networkOf(id) !== undefined, matches: isWithin, isAuthenticated: false }]
])

const isWorld = ({ id, scheme }: Identity): boolean => scheme === "world" && id === "anyone"

/** Whether any of the permissions is granted to any of the identities. */
export const permits = (acl: AclList, permissions: number, identities: ReadonlyArray<Identity>): boolean => {
  for (const entry of acl) {
    if ((entry.perms & permissions) !== 0 && isWorld(entry.id)) return true
  }
  return identities.some(({ id, scheme }) =>
    scheme === "super" ||
    acl.some((entry) =>
      (entry.perms & permissions) !== 0 && entry.id.scheme === scheme &&
      schemes.get(scheme)?.matches(id, entry.id.id) === true
    )
  )
}

/** Refuses with NoAuth. */
export const check = (acl: AclList, permissions: number, identities: ReadonlyArray<Identity>): void => {
  if (!permits(acl, permissions, identities)) throw new Refusal(ErrorCode.NoAuth)
}

// --- lists

// More than fits into a frame: entries for `auth` grow by as many as there are identities.
const longestList = 100_000

const isOpen = (acl: AclList): boolean => acl.length === 1 && acl[0]?.perms === 31 && isWorld(acl[0].id)

// Znodes share their lists: most have one of a few.
const interned = new Map<string, WeakRef<AclList>>()
const forgotten = new FinalizationRegistry<string>((key) => {
  if (interned.get(key)?.deref() === undefined) interned.delete(key)
})

/** The same list, once for all who have it. */
export const shared = (acl: AclList): AclList => {
  if (isOpen(acl)) return open
  const key = JSON.stringify(acl)
  const known = interned.get(key)?.deref()
  if (known !== undefined) return known
  interned.set(key, new WeakRef(acl))
  forgotten.register(acl, key)
  return acl
}

/** The list as it is stored: without duplicates, `auth` replaced. Refuses with InvalidAcl what nobody could match. */
export const stored = (acl: AclList, identities: ReadonlyArray<Identity>): AclList => {
  if (isOpen(acl)) return open
  const out: Array<Acl> = []
  for (const entry of new Map(acl.map((entry) => [JSON.stringify(entry), entry])).values()) {
    const { id, scheme } = entry.id
    if (isWorld(entry.id)) {
      out.push(entry)
    } else if (scheme === "auth") {
      const proved = identities.filter((identity) => schemes.get(identity.scheme)?.isAuthenticated)
      if (proved.length === 0) throw new Refusal(ErrorCode.InvalidAcl)
      if (out.length > longestList) throw new Refusal(ErrorCode.InvalidAcl)
      for (const identity of proved) out.push({ perms: entry.perms, id: identity })
    } else if (schemes.get(scheme)?.isValid(id)) {
      out.push(entry)
    } else {
      throw new Refusal(ErrorCode.InvalidAcl)
    }
  }
  if (out.length === 0 || out.length > longestList) throw new Refusal(ErrorCode.InvalidAcl)
  return shared(out)
}

/** What somebody sees who may read a list but not change it. */
export const masked = (acl: AclList): AclList =>
  acl.map((entry) =>
    entry.id.scheme === "digest"
      ? { perms: entry.perms, id: { scheme: "digest", id: entry.id.id.replace(/:.*/, ":x") } }
      : entry
  )
