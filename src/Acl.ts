/**
 * Who may do what with a znode: access control lists.
 *
 * A list is a choice: whoever matches any entry has the permissions of that
 * entry. ACLs are not inherited by children, and `create` and `delete` are
 * decided by the ACL of the parent.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { BadArguments } from "./ZooKeeperError.ts"

/**
 * The bits of a permission. `Create` and `Delete` are about children; `Admin`
 * is the right to change the ACL.
 *
 * @category permissions
 * @since 0.1.0
 */
export const Permission = {
  Read: 1,
  Write: 2,
  Create: 4,
  Delete: 8,
  Admin: 16,
  All: 31
} as const

const bitOf = {
  read: Permission.Read,
  write: Permission.Write,
  create: Permission.Create,
  delete: Permission.Delete,
  admin: Permission.Admin
} as const

/**
 * One permission by its name.
 *
 * @category permissions
 * @since 0.1.0
 */
export type PermissionName = keyof typeof bitOf

/**
 * A set of permissions as one likes to write it: bits of {@link Permission},
 * names, or `"all"`.
 *
 * @category permissions
 * @since 0.1.0
 */
export type Permissions = number | "all" | ReadonlyArray<PermissionName>

/**
 * The bits of a set of permissions. A number is returned as it is.
 *
 * @example
 * ```ts
 * import * as Acl from "effect-zookeeper/Acl"
 *
 * Acl.permissionBits(["read", "create"]) // => 5
 * Acl.permissionBits("all") // => 31
 * ```
 *
 * @category permissions
 * @since 0.1.0
 */
export const permissionBits = (permissions: Permissions): number =>
  typeof permissions === "number"
    ? permissions
    : permissions === "all"
    ? Permission.All
    : permissions.reduce((bits, name) => bits | bitOf[name], 0)

const names: ReadonlyArray<PermissionName> = ["read", "write", "create", "delete", "admin"]

/**
 * The names of the permissions in a number. Unknown bits have none.
 *
 * @example
 * ```ts
 * import * as Acl from "effect-zookeeper/Acl"
 *
 * Acl.permissionNames(5) // => ["read", "create"]
 * ```
 *
 * @category permissions
 * @since 0.1.0
 */
export const permissionNames = (bits: number): ReadonlyArray<PermissionName> =>
  names.filter((name) => (bits & bitOf[name]) !== 0)

/**
 * An identity: a scheme of authentication, and who that is in it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Id {
  /** `"world"`, `"auth"`, `"digest"`, `"ip"`, `"x509"`, `"sasl"`, or one that a plugin of the server knows. */
  readonly scheme: string
  /** What it looks like depends on the scheme. */
  readonly id: string
}

/**
 * An identity: a scheme of authentication, and who that is in it.
 *
 * @category models
 * @since 0.1.0
 */
export const Id = Schema.Struct({
  scheme: Schema.String,
  id: Schema.String
})

/**
 * One entry of an access control list.
 *
 * @category models
 * @since 0.1.0
 */
export interface Acl {
  /** Bits of {@link Permission}. 0 is legal and grants nothing. */
  readonly perms: number
  readonly id: Id
}

/**
 * One entry of an access control list.
 *
 * @category models
 * @since 0.1.0
 */
export const Acl = Schema.Struct({
  perms: Schema.Int,
  id: Id
})

const entry = (scheme: string, id: string, permissions: Permissions): Acl => ({
  perms: permissionBits(permissions),
  id: { scheme, id }
})

/**
 * Everybody who can connect.
 *
 * @example
 * ```ts
 * import * as Acl from "effect-zookeeper/Acl"
 *
 * // Everybody may read; the network of the servers, and who writes this, may do everything.
 * export const list = [Acl.world(["read"]), Acl.ip("10.0.0.0/8"), Acl.auth()]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const world = (permissions: Permissions): Acl => entry("world", "anyone", permissions)

/**
 * Every identity that this connection has authenticated as; the server puts
 * them in its place. All permissions by default. The server answers
 * `InvalidAcl` if there is none, and an address (`ip`) does not count. See
 * {@link world} for an example.
 *
 * @category constructors
 * @since 0.1.0
 */
export const auth = (permissions: Permissions = "all"): Acl => entry("auth", "", permissions)

/**
 * A user whose hash is known: base64 of the SHA-1, or what the server is
 * configured for, of `user:password`. All permissions by default.
 * {@link digestAcl} computes it.
 *
 * @example
 * ```ts
 * import * as Acl from "effect-zookeeper/Acl"
 *
 * // As `echo -n bob:secret | openssl dgst -sha1 -binary | base64` has it.
 * export const bob = Acl.digest({ user: "bob", hash: "fyVmFCwVbTJYrznoSu1koqYEYF0=", permissions: ["read", "write"] })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const digest = (options: {
  readonly user: string
  readonly hash: string
  /** @default "all" */
  readonly permissions?: Permissions | undefined
}): Acl => entry("digest", `${options.user}:${options.hash}`, options.permissions ?? "all")

/**
 * The clients at an IPv4 address or in a network (`10.0.0.0/8`). Servers from
 * 3.9.4 on understand IPv6 too, others answer `InvalidAcl`. All permissions by
 * default.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ip = (address: string, permissions: Permissions = "all"): Acl => entry("ip", address, permissions)

/**
 * The clients whose TLS certificate has this subject, in the order of RFC 2253:
 * `CN=a,OU=b`. All permissions by default.
 *
 * @example
 * ```ts
 * import * as Acl from "effect-zookeeper/Acl"
 *
 * export const list = [Acl.x509("CN=billing,OU=services"), Acl.sasl("alice", ["read"])]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const x509 = (subject: string, permissions: Permissions = "all"): Acl => entry("x509", subject, permissions)

/**
 * A user authorised through SASL; for Kerberos the name after the server's
 * mapping. All permissions by default.
 *
 * @category constructors
 * @since 0.1.0
 */
export const sasl = (name: string, permissions: Permissions = "all"): Acl => entry("sasl", name, permissions)

const encoder = new TextEncoder()

/**
 * The identity of a user with a password, `user:base64(SHA1("user:password"))`:
 * what kazoo's `make_digest_acl_credential` and Java's `generateDigest` make.
 * Fails with `BadArguments` if the user contains `:`, since servers would split
 * there. Asks nobody.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Acl from "effect-zookeeper/Acl"
 *
 * export const program = Effect.gen(function*() {
 *   const { id } = yield* Acl.digestId("bob", "secret")
 *   return id // => "bob:fyVmFCwVbTJYrznoSu1koqYEYF0="
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const digestId = (
  user: string,
  password: Redacted.Redacted<string> | string
): Effect.Effect<Id, BadArguments> =>
  user.includes(":")
    ? Effect.fail(new BadArguments({ argument: "user", value: user, problem: "the name of a user has no \":\"" }))
    : Effect.map(
      Effect.promise(() => {
        const secret = Redacted.isRedacted(password) ? Redacted.value(password) : password
        return globalThis.crypto.subtle.digest("SHA-1", encoder.encode(`${user}:${secret}`))
      }),
      (hash): Id => ({ scheme: "digest", id: `${user}:${Base64.encode(new Uint8Array(hash))}` })
    )

/**
 * A user with a password, see {@link digestId}. All permissions by default.
 * Fails with `BadArguments` if the user contains `:`.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Redacted from "effect/Redacted"
 * import * as Acl from "effect-zookeeper/Acl"
 *
 * const list = Effect.gen(function*() {
 *   const owner = yield* Acl.digestAcl({ user: "alice", password: Redacted.make("secret") })
 *   return [owner, Acl.world(["read"])]
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const digestAcl = (options: {
  readonly user: string
  readonly password: Redacted.Redacted<string> | string
  /** @default "all" */
  readonly permissions?: Permissions | undefined
}): Effect.Effect<Acl, BadArguments> =>
  Effect.map(
    digestId(options.user, options.password),
    (id): Acl => ({ perms: permissionBits(options.permissions ?? "all"), id })
  )

/**
 * Everybody may do everything: the default where no ACL is given.
 *
 * @category lists
 * @since 0.1.0
 */
export const openUnsafe: ReadonlyArray<Acl> = [world("all")]

/**
 * Everybody may read, nobody may do anything else.
 *
 * @category lists
 * @since 0.1.0
 */
export const readUnsafe: ReadonlyArray<Acl> = [world(["read"])]

/**
 * Only the identities of the connection that writes this, see {@link auth}.
 *
 * @category lists
 * @since 0.1.0
 */
export const creatorAll: ReadonlyArray<Acl> = [auth("all")]

/**
 * Whether an identity comes from a server that has hidden its hash
 * (`user:x`), because the reader is not an administrator of the znode. Written
 * back, it would lock the user out.
 *
 * @example
 * ```ts
 * import * as Acl from "effect-zookeeper/Acl"
 *
 * Acl.isMasked({ scheme: "digest", id: "bob:x" }) // => true
 * ```
 *
 * @category validation
 * @since 0.1.0
 */
export const isMasked = (id: Id): boolean => id.scheme === "digest" && id.id.endsWith(":x")

const problemOfId = (id: Id): string | undefined => {
  switch (id.scheme) {
    case "":
      return "the scheme is empty"
    case "world":
      return id.id === "anyone" ? undefined : "the only id of scheme \"world\" is \"anyone\""
    case "digest": {
      if (isMasked(id)) return "the hash was hidden by the server (\":x\"), and writing it would lock the user out"
      const colon = id.id.indexOf(":")
      return colon >= 0 && colon === id.id.lastIndexOf(":") && colon < id.id.length - 1
        ? undefined
        : "the id of scheme \"digest\" is not \"user:hash\""
    }
    case "ip":
    case "x509":
    case "sasl":
      return id.id === "" ? `the id of scheme "${id.scheme}" is empty` : undefined
    default:
      return undefined
  }
}

const problemOfEntry = ({ id, perms }: Acl): string | undefined =>
  Number.isInteger(perms) && perms >= 0 && perms <= Permission.All
    ? problemOfId(id)
    : `the permissions are ${perms}, not bits from 0 to 31`

/**
 * What is certainly wrong with an access control list that is about to be
 * written, or `undefined`. Hashes that the server has hidden count as wrong;
 * schemes that are not ZooKeeper's own are left to the server.
 *
 * @example
 * ```ts
 * import * as Acl from "effect-zookeeper/Acl"
 *
 * Acl.problemOf(Acl.openUnsafe) // => undefined
 * Acl.problemOf([]) // => "the list is empty"
 * ```
 *
 * @category validation
 * @since 0.1.0
 */
export const problemOf = (acl: ReadonlyArray<Acl>): string | undefined => {
  if (acl.length === 0) return "the list is empty"
  for (const [index, entry] of acl.entries()) {
    const problem = problemOfEntry(entry)
    if (problem !== undefined) return `entry ${index}: ${problem}`
  }
  return undefined
}
