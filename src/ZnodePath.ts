/**
 * The rules of znode paths, and small tools to build and take apart paths.
 *
 * Nothing here talks to a server. Every operation checks its paths by these
 * rules before anything is sent, since servers check only some of them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import { BadArguments } from "./ZooKeeperError.ts"

const Slash = 0x2f
const Dot = 0x2e
const Minus = 0x2d
const Zero = 0x30
const Nine = 0x39

/** C0 and C1 controls, surrogates, private use, U+FFF0 to U+FFFF; ordinary ASCII is decided by the first line. */
const isForbidden = (unit: number): boolean =>
  unit < 0x7f
    ? unit < 0x20
    : unit <= 0x9f || unit >= 0xd800 && (unit <= 0xf8ff || unit >= 0xfff0)

/** Whether the component from `start` to `end` is empty, `.` or `..`. */
const isUnusable = (path: string, start: number, end: number): boolean =>
  start === end
  || path.charCodeAt(start) === Dot
    && (end - start === 1 || end - start === 2 && path.charCodeAt(start + 1) === Dot)

/**
 * Index of the forbidden code unit, or of the start of the unusable component;
 * -1 if there is none. A number, so that a good path allocates nothing.
 */
const faultIn = (path: string, sequential: boolean): number => {
  const length = path.length
  if (path.charCodeAt(0) !== Slash) return 0
  let start = 1
  for (let index = 1; index < length; index++) {
    const unit = path.charCodeAt(index)
    if (unit === Slash) {
      if (isUnusable(path, start, index)) return start
      start = index + 1
    } else if (isForbidden(unit)) {
      return index
    }
  }
  // The server appends digits to a sequential path, which makes any last component a good one.
  return length === 1 || sequential || !isUnusable(path, start, length) ? -1 : start
}

const kindOf = (unit: number): string =>
  unit <= 0x9f
    ? "a control character"
    : unit < 0xe000
    ? "half of a character beyond U+FFFF, such as an emoji"
    : unit <= 0xf8ff
    ? "for private use"
    : "a special character"

const explain = (path: string, index: number): string => {
  if (path.length === 0) return "a path is not empty; the root is \"/\""
  if (index === 0) return "a path starts with \"/\""
  if (index === path.length) return `a path other than "/" does not end with "/" (index ${index - 1})`
  const unit = path.charCodeAt(index)
  if (unit === Slash) return `there is an empty component, "//", at index ${index - 1}`
  if (unit === Dot) return `there is a component "." or ".." at index ${index}, and paths are not relative`
  const codePoint = unit.toString(16).toUpperCase().padStart(4, "0")
  return `U+${codePoint} at index ${index} is not allowed: it is ${kindOf(unit)} (encodeSegment makes any text legal)`
}

/**
 * What is wrong with a path and at which index, or `undefined` for a legal one.
 *
 * A path starts with `/`, does not end with `/` unless it is the root, has no
 * empty component and none that is `.` or `..`, and contains no control
 * characters, no surrogates (hence no emoji), nothing of the private use area
 * and nothing from U+FFF0 to U+FFFF.
 *
 * @example
 * ```ts
 * import * as ZnodePath from "effect-zookeeper/ZnodePath"
 *
 * ZnodePath.problemOf("/app/config") // => undefined
 * ZnodePath.problemOf("/app/") // => 'a path other than "/" does not end with "/" (index 4)'
 * ```
 *
 * @category validation
 * @since 0.1.0
 */
export const problemOf = (path: string): string | undefined => {
  const index = faultIn(path, false)
  return index < 0 ? undefined : explain(path, index)
}

/**
 * {@link problemOf} for the path given to a sequential create, to which the
 * server appends ten digits: here `/queue/` is legal, and so is `/queue/..`.
 *
 * @example
 * ```ts
 * import * as ZnodePath from "effect-zookeeper/ZnodePath"
 *
 * ZnodePath.sequentialProblemOf("/queue/") // => undefined
 * ```
 *
 * @category validation
 * @since 0.1.0
 */
export const sequentialProblemOf = (path: string): string | undefined => {
  const index = faultIn(path, true)
  return index < 0 ? undefined : explain(path, index)
}

const LongestValue = 100

const refuseIf = (path: string, problem: string | undefined): Effect.Effect<string, BadArguments> =>
  problem === undefined
    ? Effect.succeed(path)
    : Effect.fail(
      new BadArguments({
        argument: "path",
        value: path.length > LongestValue ? `${path.slice(0, LongestValue)}…` : path,
        problem
      })
    )

/**
 * The path itself if it is legal. Fails with `BadArguments`, which carries what
 * {@link problemOf} says.
 *
 * @example
 * ```ts
 * import * as ZnodePath from "effect-zookeeper/ZnodePath"
 *
 * const checked = ZnodePath.validate("/app/config")
 * ```
 *
 * @category validation
 * @since 0.1.0
 */
export const validate = (path: string): Effect.Effect<string, BadArguments> => refuseIf(path, problemOf(path))

/**
 * {@link validate} for the path given to a sequential create: `/queue/` is
 * legal there. Fails with `BadArguments`.
 *
 * @example
 * ```ts
 * import * as ZnodePath from "effect-zookeeper/ZnodePath"
 *
 * export const checked = ZnodePath.validateSequential("/queue/")
 * ```
 *
 * @category validation
 * @since 0.1.0
 */
export const validateSequential = (path: string): Effect.Effect<string, BadArguments> =>
  refuseIf(path, sequentialProblemOf(path))

/**
 * The path of a child, or of a deeper descendant if `name` contains `/`.
 * Checks nothing; put text from outside through {@link encodeSegment} first.
 *
 * @example
 * ```ts
 * import * as ZnodePath from "effect-zookeeper/ZnodePath"
 *
 * ZnodePath.join("/app", "config") // => "/app/config"
 * ZnodePath.join("/", "app") // => "/app"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const join: {
  (name: string): (parent: string) => string
  (parent: string, name: string): string
} = dual(2, (parent: string, name: string): string => parent === "/" ? `/${name}` : `${parent}/${name}`)

/**
 * The path of the parent. The root is its own parent.
 *
 * @example
 * ```ts
 * import * as ZnodePath from "effect-zookeeper/ZnodePath"
 *
 * ZnodePath.parent("/app/config") // => "/app"
 * ZnodePath.name("/app/config") // => "config"
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const parent = (path: string): string => {
  const slash = path.lastIndexOf("/")
  return slash <= 0 ? "/" : path.slice(0, slash)
}

/**
 * The last component of a path; empty for the root. See {@link parent} for an
 * example.
 *
 * @category accessors
 * @since 0.1.0
 */
export const name = (path: string): string => path.slice(path.lastIndexOf("/") + 1)

/** No character of UTF-8 begins so, and `encodeURIComponent` produces none, so it can stand for the empty text. */
const EmptySegment = "%"

const isLoneSurrogate = (character: string): boolean => {
  const unit = character.charCodeAt(0)
  return character.length === 1 && unit >= 0xd800 && unit <= 0xdfff
}

const encodeCharacter = (character: string): string =>
  isLoneSurrogate(character)
    ? `%u${character.charCodeAt(0).toString(16).toUpperCase()}`
    : character === "/" || character === "%" || isForbidden(character.charCodeAt(0))
    ? encodeURIComponent(character)
    : character

/**
 * Turns any text into one legal path component, reversibly. Legal characters
 * stay as they are; `/`, `%` and everything forbidden is percent-encoded as
 * UTF-8, like in a URL; `.` and `..` become `%2E` and `%2E.`, the empty text
 * becomes `%`, and half a surrogate pair `%uD800`.
 *
 * @example
 * ```ts
 * import * as ZnodePath from "effect-zookeeper/ZnodePath"
 *
 * ZnodePath.join("/users", ZnodePath.encodeSegment("a/b 100%")) // => "/users/a%2Fb 100%25"
 * ```
 *
 * @category encoding
 * @since 0.1.0
 */
export const encodeSegment = (text: string): string => {
  if (text === "") return EmptySegment
  if (text === "." || text === "..") return `%2E${text.slice(1)}`
  let segment = ""
  for (const character of text) segment += encodeCharacter(character)
  return segment
}

const decodeUriComponent = Option.liftThrowable(decodeURIComponent)

/**
 * The text from which {@link encodeSegment} made a path component. Understands
 * `encodeURIComponent` and its like in other languages too. `None` if a `%` is
 * not followed by what one of them writes.
 *
 * @example
 * ```ts
 * import * as Option from "effect/Option"
 * import * as ZnodePath from "effect-zookeeper/ZnodePath"
 *
 * ZnodePath.decodeSegment("a%2Fb 100%25") // => Option.some("a/b 100%")
 * ZnodePath.decodeSegment("100%") // => Option.none()
 * ```
 *
 * @category encoding
 * @since 0.1.0
 */
export const decodeSegment = (segment: string): Option.Option<string> =>
  segment === EmptySegment
    ? Option.some("")
    : decodeUriComponent(
      segment.replace(/%u(D[89A-F][0-9A-F]{2})/g, (_, unit: string) => String.fromCharCode(Number.parseInt(unit, 16)))
    )

const Largest = 0x7fffffff

/** The number that the digits from `start` to the end of `name` make, or -1 if there is anything but digits. */
const digitsFrom = (name: string, start: number): number => {
  let value = 0
  for (let index = start; index < name.length; index++) {
    const unit = name.charCodeAt(index)
    if (unit < Zero || unit > Nine) return -1
    value = value * 10 + unit - Zero
  }
  return value
}

/** The inverse of Java's `%010d` for an int32: the sign counts as one of the ten. */
const numberOf = (suffix: string): Option.Option<number> => {
  if (suffix.charCodeAt(0) !== Minus) {
    const value = suffix.length === 10 ? digitsFrom(suffix, 0) : -1
    return value >= 0 && value <= Largest ? Option.some(value) : Option.none()
  }
  const value = digitsFrom(suffix, 1)
  const isPrinted = suffix.length === 10
    ? value > 0
    : suffix.length === 11 && value >= 1_000_000_000 && value <= Largest + 1
  return isPrinted ? Option.some(-value) : Option.none()
}

/** Length of the sequence suffix of a name whose prefix is not known; 0 if it has none. */
const suffixLength = (name: string): number => {
  const start = name.length - 10
  if (start < 0) return 0
  const value = digitsFrom(name, start)
  if (value < 0) return 0
  if (value <= Largest) return 10
  return value === Largest + 1 && name.charCodeAt(start - 1) === Minus ? 11 : 0
}

/**
 * The number that the server appended to the name, or path, of a sequential
 * znode: an int32, printed with ten digits (`lock-0000000042`). `None` if the
 * name does not end like that.
 *
 * A `-` before the digits is taken for the prefix's own unless only a negative
 * number can be meant, i.e. `-2147483648`, which servers print after an
 * overflow. Give the `prefix` where it is known, to be exact.
 *
 * @example
 * ```ts
 * import * as Option from "effect/Option"
 * import * as ZnodePath from "effect-zookeeper/ZnodePath"
 *
 * ZnodePath.sequenceOf("lock-0000000042") // => Option.some(42)
 * ZnodePath.sequenceOf("lock--2147483647", "lock-") // => Option.some(-2147483647)
 * ZnodePath.sequenceOf("config") // => Option.none()
 * ```
 *
 * @category sequential znodes
 * @since 0.1.0
 */
export const sequenceOf = (name: string, prefix?: string): Option.Option<number> => {
  if (prefix !== undefined) {
    return name.startsWith(prefix) ? numberOf(name.slice(prefix.length)) : Option.none()
  }
  const length = suffixLength(name)
  return length === 0 ? Option.none() : numberOf(name.slice(name.length - length))
}

/**
 * The name, or path, of a sequential znode without the number that
 * {@link sequenceOf} finds in it; all of it if there is none.
 *
 * @example
 * ```ts
 * import * as ZnodePath from "effect-zookeeper/ZnodePath"
 *
 * ZnodePath.prefixOf("/locks/lock-0000000042") // => "/locks/lock-"
 * ```
 *
 * @category sequential znodes
 * @since 0.1.0
 */
export const prefixOf = (name: string): string => name.slice(0, name.length - suffixLength(name))

/**
 * The server's path for a client's path under a chroot. `/` is the chroot znode
 * itself; the chroot `""` is none.
 *
 * @example
 * ```ts
 * import * as ZnodePath from "effect-zookeeper/ZnodePath"
 *
 * ZnodePath.withChroot("/app", "/config") // => "/app/config"
 * ZnodePath.withChroot("/app", "/") // => "/app"
 * ZnodePath.stripChroot("/app", "/app/config") // => "/config"
 * ```
 *
 * @category chroot
 * @since 0.1.0
 */
export const withChroot = (chroot: string, path: string): string =>
  chroot === "" ? path : path === "/" ? chroot : chroot + path

/**
 * The client's path for a server's path: the inverse of {@link withChroot}. A
 * path outside the chroot is returned as it is: `/zookeeper/config` does not
 * lie under `/zoo`. Source: kazoo's `unchroot`. See {@link withChroot} for an
 * example.
 *
 * @category chroot
 * @since 0.1.0
 */
export const stripChroot = (chroot: string, serverPath: string): string =>
  chroot === "" || !serverPath.startsWith(chroot)
    ? serverPath
    : serverPath.length === chroot.length
    ? "/"
    : serverPath.charCodeAt(chroot.length) === Slash
    ? serverPath.slice(chroot.length)
    : serverPath
