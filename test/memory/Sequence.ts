/**
 * Sequences of steps of several clients, drawn from a seed: every operation,
 * with arguments that are right, nearly right, and wrong.
 */
import { OpCode } from "../../src/jute/OpCode.ts"
import { type Operation, operations as op } from "../../src/jute/Protocol.ts"
import { digestId } from "../../src/memory/Sha1.ts"
import { type Call, call } from "./RawClient.ts"

/** What a call needs to know of its world: zxids and sessions differ between them. */
export interface World {
  /** A zxid that the world's clients have seen: 0 the first, 1 the last. */
  readonly zxid: (position: number) => bigint
}

export interface Request {
  readonly text: string
  readonly call: (world: World) => Call
}

export type Step =
  /** A client sends requests, one behind the other without waiting. */
  | { readonly _tag: "Burst"; readonly client: number; readonly requests: ReadonlyArray<Request> }
  /** A client's connection is cut, and it comes back to its session. */
  | { readonly _tag: "Reconnect"; readonly client: number }
  /** A client closes its session, and gets another. */
  | { readonly _tag: "Renew"; readonly client: number }
  /** Somebody asks for a client's session with a wrong password, which costs the client its connection. */
  | { readonly _tag: "Intrude"; readonly client: number }

/** Seeded; good enough to draw by. */
export class Draw {
  private state: number

  constructor(seed: number) {
    this.state = seed
  }

  /** From 0 up to 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  one<A>(first: A, ...others: ReadonlyArray<A>): A {
    const index = this.below(others.length + 1)
    return index === 0 ? first : (others[index - 1] ?? first)
  }
}

/** Credentials of each client. The first has none, the last is the superuser. */
export const credentials: ReadonlyArray<ReadonlyArray<string>> = [
  [],
  ["ann:1"],
  ["ann:1", "bob:2"],
  ["super:superpw"]
]

const digest = (text: string): string => digestId(new TextEncoder().encode(text))
const entry = (perms: number, scheme: string, id: string) => ({ perms, id: { scheme, id } })
const everybody = entry(31, "world", "anyone")

export class Sequence {
  private readonly draw: Draw
  private readonly root: string

  constructor(seed: number, root: string) {
    this.draw = new Draw(seed)
    this.root = root
  }

  /** About as many requests as asked for. */
  steps(requests: number): ReadonlyArray<Step> {
    const { draw } = this
    const steps: Array<Step> = []
    for (let count = 0; count < requests;) {
      const client = draw.below(credentials.length)
      if (draw.chance(0.03)) {
        steps.push({ _tag: draw.one("Reconnect", "Reconnect", "Renew", "Intrude"), client })
        continue
      }
      const requests = Array.from({ length: 1 + draw.below(24) }, () => this.request())
      for (const burst of this.settling(requests)) steps.push({ _tag: "Burst", client, requests: burst })
      count += requests.length
    }
    return steps
  }

  /**
   * A real server checks a request while those before it are still under way: ACLs and quotas are as they were before
   * those, if they are not done yet. So what follows a change of either has to wait.
   */
  private settling(requests: ReadonlyArray<Request>): ReadonlyArray<ReadonlyArray<Request>> {
    const bursts: Array<Array<Request>> = [[]]
    for (const request of requests) {
      bursts.at(-1)?.push(request)
      if (
        request.text.startsWith("setAcl") ||
        (/^(create|setData|delete|multi )/.test(request.text) && request.text.includes(`${this.root}/q`))
      ) {
        bursts.push([])
      }
    }
    return bursts.filter((burst) => burst.length > 0)
  }

  private data(): Uint8Array | null {
    const { draw } = this
    return draw.chance(0.1) ? null : new Uint8Array(draw.one(0, 1, 3, 10, 40)).fill(draw.below(256))
  }

  private acl() {
    const { draw } = this
    if (draw.chance(0.7)) return [everybody]
    return draw.one(
      [everybody],
      [entry(1, "world", "anyone")],
      [entry(31, "digest", digest("ann:1"))],
      [entry(1, "digest", digest("ann:1")), entry(31, "digest", digest("bob:2"))],
      [entry(draw.below(32), "digest", digest("ann:1")), entry(draw.below(32), "world", "anyone")],
      [entry(31, "auth", "")],
      [entry(draw.below(32), "auth", "ignored")],
      [entry(31, "ip", "127.0.0.1")],
      [entry(31, "ip", draw.one("127.0.0.0/8", "10.0.0.0/8", "127.0.0.1/32", "128.0.0.0/1", "0.0.0.0/0"))],
      [entry(30, "ip", "127.0.0.0/8"), entry(0, "world", "anyone")],
      [everybody, everybody, entry(31, "ip", "127.0.0.1")],
      [],
      [entry(31, draw.one("world", "super", "nosuch", "sasl", ""), draw.one("", "someone"))],
      [entry(31, "digest", draw.one("", "ann", "ann:", ":x", "a:b:c", "a:b:", "::"))],
      [
        entry(
          31,
          "ip",
          draw.one(
            "",
            "localhost",
            "127.0.0.1/33",
            "127.0.0.1/",
            "127.0.0.1/-1",
            "127.0.0",
            "256.0.0.1",
            "127.0.0.1/8/9"
          )
        )
      ]
    )
  }

  private get number(): string {
    return String(this.draw.below(12)).padStart(10, "0")
  }

  /** Mostly one of a few dozen below the root. Containers are called `k`. */
  private path(): string {
    const { draw, root } = this
    if (draw.chance(0.015)) {
      return draw.one("", "relative", "/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota", `${root}//a`)
    }
    if (draw.chance(0.015)) {
      return (
        root +
        draw.one("/", "/a/", "/a\0", "/a/..", "/./a", "/\u0001", "/\ue000", "/\ufff0", "/...", "/none/none", "/a/b/")
      )
    }
    if (draw.chance(0.02)) return root
    let path = root
    const depth = 1 + draw.below(3)
    for (let level = 0; level < depth; level++) path += `/${draw.one("a", "b", "q", "c")}`
    if (draw.chance(0.1)) path += `/s-${this.number}`
    else if (draw.chance(0.05)) path += "/k"
    else if (draw.chance(0.03)) path += "/é–"
    return path
  }

  /** A path to create at: never the root's siblings, which others see. */
  private newPath(): string {
    const path = this.path()
    return path === "" || path === "/" || path === this.root || path.startsWith("/zookeeper")
      ? `${this.root}/a`
      : path
  }

  /** A path to create children at. Not a container: one that had some goes at a time of the server's choice. */
  private parentPath(): string {
    return this.newPath().replace(/\/k$/, "")
  }

  private version(): number {
    const { draw } = this
    return draw.chance(0.6) ? -1 : draw.one(0, 0, 1, 2, 3, -2, 2 ** 31 - 1)
  }

  /** Not the znodes that others see. */
  private changeablePath(): string {
    const path = this.path()
    return path === "/" || path.startsWith("/zookeeper") ? this.root : path
  }

  private create() {
    const { draw } = this
    const request = { data: this.data(), acl: this.acl() }
    switch (draw.below(8)) {
      case 0: {
        const path = `${this.parentPath()}/k`
        return {
          type: OpCode.CreateContainer,
          request: { ...request, path, flags: draw.chance(0.8) ? 4 : draw.one(0, 1, 9) }
        } as const
      }
      case 1: {
        const flags = draw.chance(0.9) ? draw.one(5, 6) : draw.one(0, 1, 4, 7)
        // A ttl of -1 without the flag, which means a TTL to nobody, would bring a real server down.
        const ttl = draw.chance(0.8) ? 2 ** 40 - 1 : draw.one(0, flags === 5 ? -1 : 0, 2 ** 40)
        const path = flags === 6 ? this.prefix() : this.newPath()
        return { type: OpCode.CreateTtl, request: { ...request, path, flags, ttl } } as const
      }
      default: {
        const type = draw.chance(0.5) ? OpCode.Create : OpCode.Create2
        const flags = draw.chance(0.97) ? draw.one(0, 0, 0, 1, 2, 3) : draw.one(4, 5, 6, 7, -1, 100)
        const path = flags === 2 || flags === 3 || flags === 6 ? this.prefix() : this.newPath()
        return { type, request: { ...request, path, flags } } as const
      }
    }
  }

  private prefix(): string {
    const path = this.parentPath()
    return this.draw.chance(0.8) ? `${path}/s-` : `${path}${this.draw.one("/", "-", "/.", "/..")}`
  }

  private setData() {
    return {
      type: OpCode.SetData,
      request: { path: this.changeablePath(), data: this.data(), version: this.version() }
    } as const
  }

  private delete() {
    return { type: OpCode.Delete, request: { path: this.path(), version: this.version() } } as const
  }

  private check() {
    return { type: OpCode.Check, request: { path: this.changeablePath(), version: this.version() } } as const
  }

  private write() {
    const { draw } = this
    const kind = draw.below(10)
    return kind < 5 ? this.create() : kind < 7 ? this.setData() : kind < 9 ? this.delete() : this.check()
  }

  private read() {
    const request = { path: this.path(), watch: this.draw.chance(0.5) }
    return this.draw.chance(0.5)
      ? ({ type: OpCode.GetData, request } as const)
      : ({ type: OpCode.GetChildren, request } as const)
  }

  /** A path whose Stat and children are ours alone. */
  private ownPath(): string {
    const path = this.path()
    return path === "/" || path === "" || path.startsWith("/zookeeper") ? this.root : path
  }

  private paths(most: number): ReadonlyArray<string> {
    return Array.from({ length: this.draw.below(most) }, () => this.ownPath())
  }

  private request(): Request {
    const { draw } = this
    const kind = draw.below(100)
    if (kind < 26) {
      const { request, type } = this.create()
      switch (type) {
        case OpCode.CreateTtl:
          return plain("createTtl", op.createTtl, request)
        case OpCode.CreateContainer:
          return plain("createContainer", op.createContainer, request)
        case OpCode.Create2:
          return plain("create2", op.create2, request)
        default:
          return plain("create", op.create, request)
      }
    }
    if (kind < 38) return plain("setData", op.setData, this.setData().request)
    if (kind < 52) return plain("delete", op.delete, this.delete().request)
    if (kind < 56)
      return plain("setAcl", op.setAcl, { path: this.aclPath(), acl: this.acl(), version: this.version() })
    const path = this.ownPath()
    const watch = draw.chance(0.6)
    if (kind < 62) return plain("exists", op.exists, { path, watch })
    if (kind < 68) return plain("getData", op.getData, { path, watch })
    if (kind < 72) return plain("getChildren", op.getChildren, { path, watch })
    if (kind < 76) return plain("getChildren2", op.getChildren2, { path, watch })
    if (kind < 78) return plain("getAcl", op.getAcl, { path })
    if (kind < 80)
      return plain("addWatch", op.addWatch, { path, mode: draw.chance(0.95) ? draw.below(2) : draw.one(2, -1) })
    if (kind < 82)
      return plain("removeWatches", op.removeWatches, {
        path,
        type: draw.chance(0.9) ? 1 + draw.below(3) : draw.one(0, 4, 5, 6)
      })
    if (kind < 83)
      return plain("checkWatches", op.checkWatches, {
        path: path === "relative" ? this.root : path,
        type: draw.chance(0.9) ? 1 + draw.below(3) : draw.one(0, 4, 5, 6)
      })
    if (kind < 93) {
      const length = draw.chance(0.05) ? 0 : 1 + draw.below(5)
      return plain(
        "multi",
        op.multi,
        Array.from({ length }, () => this.write())
      )
    }
    if (kind < 95)
      return plain(
        "multiRead",
        op.multiRead,
        Array.from({ length: draw.below(4) }, () => ownRead(this.read(), this.root))
      )
    if (kind < 96) {
      const position = draw.next()
      const lists = { dataWatches: this.paths(4), existWatches: this.paths(3), childWatches: this.paths(4) }
      return {
        text: `setWatches ${JSON.stringify(lists)} since ${position}`,
        call: ({ zxid }) => call(op.setWatches, { relativeZxid: zxid(position), ...lists })
      }
    }
    if (kind < 97) {
      const position = draw.next()
      const lists = {
        dataWatches: this.paths(3),
        existWatches: this.paths(3),
        childWatches: this.paths(3),
        persistentWatches: this.paths(2),
        persistentRecursiveWatches: this.paths(2)
      }
      return {
        text: `setWatches2 ${JSON.stringify(lists)} since ${position}`,
        call: ({ zxid }) => call(op.setWatches2, { relativeZxid: zxid(position), ...lists })
      }
    }
    return draw.one(
      plain("sync", op.sync, { path }),
      plain("whoAmI", op.whoAmI, {}),
      plain("getEphemerals", op.getEphemerals, {
        prefixPath: draw.one(path, this.root, "/", "", " ", `${this.root}/a`)
      }),
      plain("getAllChildrenNumber", op.getAllChildrenNumber, { path }),
      plain("ping", op.ping, {})
    )
  }

  /** Not the root: a client that cannot get past it sees nothing. */
  private aclPath(): string {
    const path = this.path()
    return path === this.root || path.startsWith("/zookeeper") || path === "/" ? `${this.root}/a` : path
  }
}

const ownRead = <R extends { readonly request: { readonly path: string; readonly watch: boolean } }>(
  read: R,
  root: string
): R => (read.request.path.startsWith(root) ? read : { ...read, request: { ...read.request, path: root } })

const short = (_: string, value: unknown): unknown =>
  value instanceof Uint8Array ? `${value.length} bytes` : value

const plain = <A, B>(
  name: string,
  operation: Operation<A, B>,
  request: A
): Request => ({
  text: `${name} ${JSON.stringify(request, short)}`,
  call: () => call(operation, request)
})
