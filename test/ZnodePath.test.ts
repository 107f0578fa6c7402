import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, pipe, Schema } from "effect"
import * as ZnodePath from "../src/ZnodePath.ts"

const hex = (unit: number) => `U+${unit.toString(16).toUpperCase().padStart(4, "0")}`

/** Any UTF-16 at all, with what matters often enough: separators, dots, percents, halves of surrogate pairs. */
const Text = Schema.Array(
  Schema.Union([
    Schema.Literals(["/", ".", "..", "%", "%u", "%2F", "D800", "a", "\u0000", "\ud83d", "\ude00", "\ufff0"]),
    Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff }))
  ])
)
const toText = (parts: typeof Text.Type) =>
  parts.map((part) => typeof part === "number" ? String.fromCharCode(part) : part).join("")

const forbidden: ReadonlyArray<readonly [kind: string, first: number, last: number]> = [
  ["control", 0x0000, 0x001f],
  ["control", 0x007f, 0x009f],
  ["emoji", 0xd800, 0xdfff],
  ["private use", 0xe000, 0xf8ff],
  ["special", 0xfff0, 0xffff]
]

/** The rules once more, as plainly as possible. */
const isLegal = (path: string) =>
  path === "/"
  || path.startsWith("/")
    && path.slice(1).split("/").every((component) => component !== "" && component !== "." && component !== "..")
    && path.split("").every((_, index) =>
      !forbidden.some(([, first, last]) => path.charCodeAt(index) >= first && path.charCodeAt(index) <= last)
    )

describe("problemOf", () => {
  it.effect.each([
    "/",
    "/a",
    "/a/b/c",
    "/this is / a valid/path",
    "/name/with-._~!$&'()*+,;=:@",
    "/...",
    "/.a",
    "/..a",
    "/a.",
    "/a..",
    "/a./b../.c/...",
    "/ ",
    "/%",
    "/test\u00c4",
    "/\u4e2d\u6587",
    "/zookeeper/config"
  ])("accepts %j", (path) =>
    Effect.sync(() => {
      assert.isUndefined(ZnodePath.problemOf(path))
      assert.isUndefined(ZnodePath.sequentialProblemOf(path))
    }))

  it.effect.each([
    ["", "not empty"],
    ["a", "starts with"],
    ["a/b", "starts with"],
    [" /a", "starts with"],
    ["./a", "starts with"],
    ["\ud83d\ude00", "starts with"],
    ["//", "\"//\", at index 0"],
    ["//a", "\"//\", at index 0"],
    ["/a//b", "\"//\", at index 2"],
    ["/a//", "\"//\", at index 2"],
    ["/a/b//c/./d", "\"//\", at index 4"],
    ["/./a", "\".\" or \"..\" at index 1"],
    ["/../a", "\".\" or \"..\" at index 1"],
    ["/a/./b", "\".\" or \"..\" at index 3"],
    ["/a/../b", "\".\" or \"..\" at index 3"]
  ] as const)("refuses %j", ([path, problem]) =>
    Effect.sync(() => {
      assert.include(ZnodePath.problemOf(path), problem)
      assert.include(ZnodePath.sequentialProblemOf(path), problem)
    }))

  it.effect.each([
    ["/a/", "end with \"/\" (index 2)"],
    ["/a/b/", "end with \"/\" (index 4)"],
    ["/.", "\".\" or \"..\" at index 1"],
    ["/..", "\".\" or \"..\" at index 1"],
    ["/a/.", "\".\" or \"..\" at index 3"],
    ["/a/..", "\".\" or \"..\" at index 3"]
  ] as const)("refuses %j, except for a sequential create", ([path, problem]) =>
    Effect.sync(() => {
      assert.include(ZnodePath.problemOf(path), problem)
      assert.isUndefined(ZnodePath.sequentialProblemOf(path))
    }))

  it.effect.each(forbidden)("refuses every %s character from %i to %i", ([kind, first, last]) =>
    Effect.sync(() => {
      for (let unit = first; unit <= last; unit++) {
        const character = String.fromCharCode(unit)
        for (const [path, index] of [[`/ab${character}`, 3], [`/${character}/b`, 1]] as const) {
          const problem = ZnodePath.problemOf(path)
          assert.include(problem, `${hex(unit)} at index ${index} `)
          assert.include(problem, kind)
          assert.strictEqual(ZnodePath.sequentialProblemOf(path), problem)
        }
      }
    }))

  it.effect.each([0x20, 0x7e, 0xa0, 0xd7ff, 0xf900, 0xffef])("accepts the neighbour %i of a forbidden range", (unit) =>
    Effect.sync(() => assert.isUndefined(ZnodePath.problemOf(`/a${String.fromCharCode(unit)}`))))

  it.effect("refuses supplementary characters", () =>
    Effect.sync(() => {
      assert.include(ZnodePath.problemOf("/a\u{10000}"), "U+D800 at index 2")
      assert.include(ZnodePath.problemOf("/😀"), "U+D83D at index 1")
      assert.include(ZnodePath.problemOf("/\u{10ffff}"), "U+DBFF at index 1")
    }))

  it.effect.prop("is the rules", [Text, Text], ([head, tail]) =>
    Effect.sync(() => {
      for (const path of [toText(head), `/${toText(head)}`, `/${toText(head)}/${toText(tail)}`]) {
        assert.strictEqual(ZnodePath.problemOf(path) === undefined, isLegal(path))
        assert.strictEqual(ZnodePath.sequentialProblemOf(path) === undefined, path !== "" && isLegal(`${path}1`))
      }
    }), { arbitrary: { runs: 500 } })
})

describe("validate", () => {
  it.effect("returns the path", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* ZnodePath.validate("/a"), "/a")
      assert.strictEqual(yield* ZnodePath.validateSequential("/queue/"), "/queue/")
    }))

  it.effect("fails with BadArguments", () =>
    Effect.gen(function*() {
      for (const check of [ZnodePath.validate, ZnodePath.validateSequential]) {
        const error = yield* Effect.flip(check("/a//b"))
        assert.strictEqual(error._tag, "BadArguments")
        assert.strictEqual(error.argument, "path")
        assert.strictEqual(error.value, "/a//b")
        assert.strictEqual(error.problem, ZnodePath.problemOf("/a//b"))
      }
    }))

  it.effect("shortens what it shows", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ZnodePath.validate(`/${"a".repeat(5000)}/`))
      assert.strictEqual(error.value, `/${"a".repeat(99)}…`)
      assert.include(error.problem, "index 5001")
    }))
})

describe("building and taking apart", () => {
  it.effect.each([
    ["/", "a", "/a"],
    ["/a", "b", "/a/b"],
    ["/a/b", "c/d", "/a/b/c/d"],
    ["", "a", "/a"]
  ] as const)("join %j %j", ([parent, name, path]) =>
    Effect.sync(() => {
      assert.strictEqual(ZnodePath.join(parent, name), path)
      assert.strictEqual(pipe(parent, ZnodePath.join(name)), path)
    }))

  it.effect.each([
    ["/", "/", ""],
    ["/a", "/", "a"],
    ["/a/b", "/a", "b"],
    ["/a/b/c-0000000001", "/a/b", "c-0000000001"],
    ["/queue/", "/queue", ""]
  ] as const)("parent and name of %j", ([path, parent, name]) =>
    Effect.sync(() => {
      assert.strictEqual(ZnodePath.parent(path), parent)
      assert.strictEqual(ZnodePath.name(path), name)
    }))
})

describe("segments", () => {
  it.effect.each([
    ["plain-text_1.0", "plain-text_1.0"],
    ["with space", "with space"],
    ["ä中", "ä中"],
    ["", "%"],
    [".", "%2E"],
    ["..", "%2E."],
    ["...", "..."],
    ["a/b", "a%2Fb"],
    ["../../etc", "..%2F..%2Fetc"],
    ["100%", "100%25"],
    ["%2F", "%252F"],
    ["%uD800", "%25uD800"],
    ["\u0000\n\u007f\u0080", "%00%0A%7F%C2%80"],
    ["😀", "%F0%9F%98%80"],
    ["\ue000\uffff", "%EE%80%80%EF%BF%BF"],
    ["\ud83d", "%uD83D"],
    ["\ude00\ud83d", "%uDE00%uD83D"]
  ] as const)("%j becomes %j and comes back", ([text, segment]) =>
    Effect.sync(() => {
      assert.strictEqual(ZnodePath.encodeSegment(text), segment)
      assert.deepStrictEqual(ZnodePath.decodeSegment(segment), Option.some(text))
    }))

  it.effect.each([
    "100%",
    "%%",
    "%2",
    "%ZZ",
    "%C3",
    "%C3%28",
    "%FF",
    "%uD7FF",
    "%uE000",
    "%ud83d",
    "%uD8"
  ])("%j is not encoded text", (segment) =>
    Effect.sync(() => assert.deepStrictEqual(ZnodePath.decodeSegment(segment), Option.none())))

  it.effect("decodes what encodeURIComponent makes", () =>
    Effect.sync(() => {
      const text = "a b/ä:😀"
      assert.deepStrictEqual(ZnodePath.decodeSegment(encodeURIComponent(text)), Option.some(text))
    }))

  it.effect.prop("any text becomes one legal segment and comes back", [Text], ([parts]) =>
    Effect.sync(() => {
      const text = toText(parts)
      const segment = ZnodePath.encodeSegment(text)
      assert.isUndefined(ZnodePath.problemOf(`/${segment}`))
      assert.notInclude(segment, "/")
      assert.deepStrictEqual(ZnodePath.decodeSegment(segment), Option.some(text))
    }), { arbitrary: { runs: 500 } })
})

describe("sequence", () => {
  it.effect.each([
    ["lock-0000000042", 42, "lock-"],
    ["0000000000", 0, ""],
    ["/queue/0000000007", 7, "/queue/"],
    ["a2147483647", 2147483647, "a"],
    ["job-20240000000001", 1, "job-2024"],
    ["lock-1234567890", 1234567890, "lock-"],
    ["lock--2147483648", -2147483648, "lock-"],
    ["a-2147483648", -2147483648, "a"],
    ["-2147483648", -2147483648, ""]
  ] as const)("of %j is %i", ([name, number, prefix]) =>
    Effect.sync(() => {
      assert.deepStrictEqual(ZnodePath.sequenceOf(name), Option.some(number))
      assert.strictEqual(ZnodePath.prefixOf(name), prefix)
      assert.deepStrictEqual(ZnodePath.sequenceOf(name, prefix), Option.some(number))
    }))

  it.effect.each([
    "",
    "config",
    "123456789",
    "a123456789",
    "a000000000x",
    "a 000000001",
    "a00000000/1",
    "a00000000:1",
    "a0x00000001",
    "user-123456789",
    "a2147483648",
    "a9999999999",
    "a-2147483649",
    "0000000001a"
  ])("%j has none", (name) =>
    Effect.sync(() => {
      assert.deepStrictEqual(ZnodePath.sequenceOf(name), Option.none())
      assert.strictEqual(ZnodePath.prefixOf(name), name)
    }))

  it.effect.each([
    ["lock-0000000042", "lock-", 42],
    ["lock--2147483647", "lock-", -2147483647],
    ["lock-2147483647", "lock", -2147483647],
    ["lock-2147483647", "lock-", 2147483647],
    ["lock--1000000000", "lock-", -1000000000],
    ["lock--999999999", "lock-", -999999999],
    ["lock--000000001", "lock-", -1],
    ["lock-0000000042", "lock", undefined],
    ["lock--000000000", "lock-", undefined],
    ["lock--0999999999", "lock-", undefined],
    ["lock--2147483649", "lock-", undefined],
    ["lock-2147483648", "lock-", undefined],
    ["lock-00000000042", "lock-", undefined],
    ["lock-000000042", "lock-", undefined],
    ["lock-", "lock-", undefined],
    ["lock--", "lock-", undefined],
    ["lock-0000000042", "read-", undefined]
  ] as const)("%j behind the prefix %j is %s", ([name, prefix, number]) =>
    Effect.sync(() => assert.deepStrictEqual(ZnodePath.sequenceOf(name, prefix), Option.fromUndefinedOr(number))))

  it.effect.prop(
    "reads what Java's %010d prints",
    [Schema.Literals(["", "lock-", "a", "job-2024", "/queue/"]), Schema.Int.check(Schema.isInt32())],
    ([prefix, number]) =>
      Effect.sync(() => {
        const printed = number < 0 ? `-${String(-number).padStart(9, "0")}` : String(number).padStart(10, "0")
        assert.deepStrictEqual(ZnodePath.sequenceOf(prefix + printed, prefix), Option.some(number))
        if (number >= 0) assert.deepStrictEqual(ZnodePath.sequenceOf(prefix + printed), Option.some(number))
      })
  )
})

describe("chroot", () => {
  it.effect.each([
    ["", "/", "/"],
    ["", "/a", "/a"],
    ["/app", "/", "/app"],
    ["/app", "/a", "/app/a"],
    ["/app", "/app", "/app/app"],
    ["/app/deep", "/a/b", "/app/deep/a/b"],
    ["/zoo", "/keeper", "/zoo/keeper"]
  ] as const)("%j and %j make %j", ([chroot, path, serverPath]) =>
    Effect.sync(() => {
      assert.strictEqual(ZnodePath.withChroot(chroot, path), serverPath)
      assert.strictEqual(ZnodePath.stripChroot(chroot, serverPath), path)
    }))

  it.effect.each([
    ["/zoo", "/zookeeper/config"],
    ["/zoo", "/zookeeper"],
    ["/zoo", "/zo"],
    ["/zoo", "/"],
    ["/zoo", "/other/zoo"],
    ["/zoo/a", "/zoo"],
    ["/zoo", "/zoo0000000001"],
    ["/zoo", ""]
  ] as const)("%j does not eat into %j", ([chroot, path]) =>
    Effect.sync(() => assert.strictEqual(ZnodePath.stripChroot(chroot, path), path)))

  it.effect("/zookeeper strips its own", () =>
    Effect.sync(() => assert.strictEqual(ZnodePath.stripChroot("/zookeeper", "/zookeeper/config"), "/config")))

  it.effect("the sequential root of a chroot keeps its slash", () =>
    Effect.sync(() => assert.strictEqual(ZnodePath.withChroot("/app", "/queue/"), "/app/queue/")))
})
