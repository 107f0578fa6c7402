/**
 * Who watches what, and which watches the server must therefore have.
 *
 * A path is watched at the server in one way at a time, because servers up to
 * 3.8 keep one mode per path and the last one wins: by a recursive watch if
 * anyone wants one, else by a persistent watch if anyone follows the path, else
 * by one-shot watches. Under a recursive watch, changes of children are derived
 * from the events of the children themselves.
 *
 * After a reconnect each watch is listed for what a one-shot watch would have
 * told as well, so that the server itself names the znodes that have changed
 * meanwhile: nobody has to read again what did not change.
 *
 * Paths are the server's here. Consumers are notified synchronously, in wire
 * order.
 */
import type * as Exit from "effect/Exit"
import { ErrorCode } from "../jute/ErrorCode.ts"
import * as Protocol from "../jute/Protocol.ts"
import * as WatchEvent from "../WatchEvent.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type ConnectionError, type Reason, Unimplemented } from "../ZooKeeperError.ts"
import { call, type Call, Pending } from "./Request.ts"

/**
 * - `"node"`, `"children"`: wakes a consumer that reads again
 * - `"persistent"`, `"recursive"`: every event
 * - `"nodeOnce"`, `"childrenOnce"`: the first event, within this session
 */
export type Kind = "node" | "children" | "persistent" | "recursive" | "nodeOnce" | "childrenOnce"

export interface Consumer {
  readonly kind: Kind
  readonly notify: (tag: WatchEvent.NodeEvent["_tag"], serverPath: string) => void
  /** Something may have been missed: after a reconnect, or in a new session. */
  readonly gap: (reason: WatchEvent.Gap["reason"]) => void
  /** The watch cannot be had, or has ended with its session. */
  readonly fail: (reason: Reason) => void
}

/** Kinds as bits: what a path is watched for is one number. */
const bitOf = { node: 1, children: 2, persistent: 4, recursive: 8, nodeOnce: 16, childrenOnce: 32 } as const

const oneShot = bitOf.nodeOnce | bitOf.childrenOnce
/** Served by a watch on the znode's data, and on its children, where the server has one-shot watches only. */
const following = bitOf.node | bitOf.children | bitOf.persistent
const followingChildren = bitOf.children | bitOf.persistent

type Mode = "none" | "once" | "persistent" | "recursive"

const AddMode = { Persistent: 0, Recursive: 1 } as const
const WatcherType = { Children: 1, Data: 2, Any: 3, PersistentRecursive: 5 } as const

class Entry {
  readonly consumers: Array<Consumer>
  /** What the server was last asked for on this connection. */
  mode: Mode = "none"
  /** One-shot watches that the server has, or was asked for. */
  dataArmed = false
  childArmed = false
  /** As far as we were told; decides how a re-armed watch compares. */
  exists = true

  constructor(first: Consumer) {
    // A literal has room for what is in it: most paths have one consumer.
    this.consumers = [first]
  }

  private get kinds(): number {
    let kinds = 0
    for (const { kind } of this.consumers) kinds |= bitOf[kind]
    return kinds
  }

  wanted(): Mode {
    const { kinds } = this
    return kinds === 0
      ? "none"
      : (kinds & bitOf.recursive) !== 0
      ? "recursive"
      : (kinds & ~oneShot) === 0
      ? "once"
      : "persistent"
  }

  wants(anyOf: number): boolean {
    return (this.kinds & anyOf) !== 0
  }
}

const ignored = { value: () => undefined }
const addWatch = call("watch", Protocol.operations.addWatch, ignored)
const removeWatches = call("unwatch", Protocol.operations.removeWatches, ignored)
const armData = call("watch", Protocol.operations.exists, { value: () => true, absent: false })
const armChildren = call("watch", Protocol.operations.getChildren, ignored)
const setWatches = call("setWatches", Protocol.operations.setWatches, ignored)
const setWatches2 = call("setWatches", Protocol.operations.setWatches2, ignored)

/** In bytes: what one packet of watches may hold (ZOOKEEPER-706). */
const largestBatch = 128 * 1024
/** In bytes, generously: what a packet has besides the paths. */
const batchHeader = 64

const emptyLists = () => ({
  dataWatches: new Array<string>(),
  existWatches: new Array<string>(),
  childWatches: new Array<string>(),
  persistentWatches: new Array<string>(),
  persistentRecursiveWatches: new Array<string>()
})

type Lists = ReturnType<typeof emptyLists>
type Put = (list: keyof Lists, path: string) => void

const failureOf = (exit: Exit.Exit<unknown, ConnectionError>): Reason | undefined => {
  if (exit._tag === "Success") return undefined
  for (const cause of exit.cause.reasons) if (cause._tag === "Fail") return cause.error.reason
  return undefined
}

const noRecursion = () => new Unimplemented({ operation: "recursive watch" })

/** One packet that arms watches; `settled` must be told how it went. */
export interface Batch {
  readonly call: Call<any, undefined, never>
  readonly request: unknown
  readonly settled: (exit: Exit.Exit<unknown, ConnectionError>) => void
}

/** The only way in which a registry talks to the server; `undefined` while there is none. */
export type Send = (pending: Pending) => void

export class WatchRegistry {
  private readonly entries = new Map<string, Entry>()
  /**
   * Those whose events come from a recursive watch by now. A mode changes where
   * the reply stands among the events, not when it was asked for.
   */
  private readonly recursive = new Map<string, Entry>()
  private send: Send | undefined
  /** Whether the server knows persistent watches: it is taken to, until it says otherwise. */
  private persistent = true
  /** Batches that the server has not yet answered: it tells now what has changed meanwhile. */
  private rearming = 0
  /** Why there will never be another connection. */
  private ended: Reason | undefined

  /** Paths that someone watches. */
  get size(): number {
    return this.entries.size
  }

  has(path: string): boolean {
    return this.entries.has(path)
  }

  /** Remembers whether the znode is there, as a read told. */
  observed(path: string, exists: boolean): void {
    const entry = this.entries.get(path)
    if (entry !== undefined) entry.exists = exists
  }

  // -------------------------------------------------------------------------
  // consumers
  // -------------------------------------------------------------------------

  /** From now on; the watch is armed at once, with the next connection, or by the read of a one-shot consumer. */
  add(path: string, consumer: Consumer): void {
    let entry = this.entries.get(path)
    if (entry === undefined) this.entries.set(path, entry = new Entry(consumer))
    else entry.consumers.push(consumer)
    if (this.ended !== undefined) consumer.fail(this.ended)
    else if (consumer.kind === "recursive" && !this.persistent) consumer.fail(noRecursion())
    else this.arm(path, entry)
  }

  /** Whether the read of a one-shot consumer, which leaves now, must arm the watch itself. */
  armsByRead(path: string, kind: Kind): boolean {
    const entry = this.entries.get(path)
    if (entry === undefined || entry.mode === "persistent" || entry.mode === "recursive") return false
    entry.mode = "once"
    if (kind === "nodeOnce") entry.dataArmed = true
    else entry.childArmed = true
    return true
  }

  /** No watch and no entry is left behind when the last consumer goes. */
  remove(path: string, consumer: Consumer): void {
    const entry = this.entries.get(path)
    const index = entry?.consumers.indexOf(consumer) ?? -1
    if (entry === undefined || index < 0) return
    // Measured: `splice` costs a fifth of an event's time.
    if (entry.consumers.length === 1) entry.consumers.pop()
    else entry.consumers.splice(index, 1)
    this.disarm(path, entry)
    if (entry.consumers.length > 0) return
    this.entries.delete(path)
    this.recursive.delete(path)
  }

  // -------------------------------------------------------------------------
  // arming
  // -------------------------------------------------------------------------

  private request<Request, Value>(
    operation: Call<Request, Value, never>,
    request: Request,
    settled: (exit: Exit.Exit<Value, ConnectionError>) => void = () => undefined
  ): void {
    this.send?.(Pending.make(operation, request, { path: undefined }, settled))
  }

  private arm(path: string, entry: Entry): void {
    if (this.send === undefined) return
    const wanted = entry.wanted()
    if (wanted === "none" || wanted === "once") return
    if (!this.persistent) return this.armOnce(path, entry)
    if (entry.mode !== wanted && entry.mode !== "recursive") this.switchTo(wanted, path, entry)
  }

  private switchTo(mode: "persistent" | "recursive", path: string, entry: Entry): void {
    entry.mode = mode
    this.request(addWatch, { path, mode: mode === "recursive" ? AddMode.Recursive : AddMode.Persistent }, (exit) => {
      const reason = failureOf(exit)
      if (reason !== undefined) this.refused(entry, reason)
      else this.switched(mode, path, entry)
    })
  }

  /** From here on the events are those of the new mode. */
  private switched(mode: Mode, path: string, entry: Entry): void {
    if (this.entries.get(path) !== entry) return
    if (mode === "recursive") this.recursive.set(path, entry)
    else this.recursive.delete(path)
  }

  /** Servers before 3.6 do not know persistent watches: one-shot ones are armed anew after each event. */
  private armOnce(path: string, entry: Entry): void {
    entry.mode = "once"
    if (!entry.dataArmed && entry.wants(following)) {
      entry.dataArmed = true
      this.request(armData, { path, watch: true }, (exit) => {
        if (exit._tag === "Failure" || this.entries.get(path) !== entry) return
        entry.exists = exit.value
        this.armOnce(path, entry)
      })
    }
    if (!entry.childArmed && entry.exists && entry.wants(followingChildren)) {
      entry.childArmed = true
      this.request(armChildren, { path, watch: true }, (exit) => {
        if (exit._tag === "Failure") entry.childArmed = false
      })
    }
  }

  private refused(entry: Entry, reason: Reason): void {
    switch (reason._tag) {
      case "Unimplemented":
        return this.withoutPersistence()
      case "ServerError":
        if (reason.code === ErrorCode.MarshallingError) return this.withoutPersistence()
        break
      case "Throttled":
      case "TooLarge":
        break
      default:
        // The connection is lost; the next one arms.
        return
    }
    for (const consumer of [...entry.consumers]) consumer.fail(reason)
  }

  private withoutPersistence(): void {
    if (!this.persistent) return
    this.persistent = false
    // An unknown operation closes the connection; then the next one arms. Else it is done here.
    for (const [path, entry] of [...this.entries]) {
      if (entry.mode !== "once") entry.mode = "none"
      for (const consumer of [...entry.consumers]) if (consumer.kind === "recursive") consumer.fail(noRecursion())
      this.arm(path, entry)
    }
  }

  private disarm(path: string, entry: Entry): void {
    if (this.send === undefined || entry.mode === "none") return
    const wanted = entry.wanted()
    if (wanted === "none") {
      if (entry.mode !== "once" || entry.dataArmed || entry.childArmed) {
        this.request(removeWatches, { path, type: WatcherType.Any })
      }
      return
    }
    if (entry.mode === "recursive" && wanted !== "recursive") {
      // Servers up to 3.8 replace the mode; later ones keep both until one is removed.
      this.switchTo("persistent", path, entry)
      this.request(removeWatches, { path, type: WatcherType.PersistentRecursive })
    }
    // One-shot consumers are served by a persistent watch as well.
    if (entry.mode !== "once") return
    if (entry.dataArmed && !entry.wants(bitOf.nodeOnce | following)) {
      entry.dataArmed = false
      this.request(removeWatches, { path, type: WatcherType.Data })
    }
    if (entry.childArmed && !entry.wants(bitOf.childrenOnce | followingChildren)) {
      entry.childArmed = false
      this.request(removeWatches, { path, type: WatcherType.Children })
    }
  }

  // -------------------------------------------------------------------------
  // events
  // -------------------------------------------------------------------------

  /** An event of the server. One that nobody awaits is normal: its watch was removed a moment ago. */
  dispatch(type: number, path: string): void {
    const tag = WatchEvent.tagOf(type)
    if (tag === undefined) return
    const entry = this.entries.get(path)
    if (entry !== undefined) this.dispatchTo(entry, tag, path)
    if (this.recursive.size === 0 || tag === "NodeChildrenChanged") return
    for (let below = path; below !== "/";) {
      const parent = ZnodePath.parent(below)
      const above = this.recursive.get(parent)
      if (above !== undefined) {
        for (const consumer of [...above.consumers]) if (consumer.kind === "recursive") consumer.notify(tag, path)
        if (below === path && tag !== "NodeDataChanged") this.deliver(above, "NodeChildrenChanged", parent)
      }
      below = parent
    }
  }

  private dispatchTo(entry: Entry, tag: WatchEvent.NodeEvent["_tag"], path: string): void {
    // A znode that was listed for its data and its children is told to be gone twice.
    if (this.rearming > 0 && tag === "NodeDeleted" && !entry.exists) return
    // Derived from the events of the children.
    if (tag === "NodeChildrenChanged" && this.recursive.has(path)) return
    entry.exists = tag !== "NodeDeleted"
    if (entry.mode === "once") this.consumed(path, entry, tag)
    this.deliver(entry, tag, path)
    if (entry.mode === "once" && entry.consumers.length > 0) {
      // Those who are left did not yet await the event: their reads are under way and arm anew.
      entry.dataArmed ||= entry.wants(bitOf.nodeOnce)
      entry.childArmed ||= entry.wants(bitOf.childrenOnce)
    }
    if (this.persistent) return
    for (const consumer of [...entry.consumers]) if (consumer.kind === "persistent") consumer.gap("OneShot")
  }

  private consumed(path: string, entry: Entry, tag: WatchEvent.NodeEvent["_tag"]): void {
    if (tag !== "NodeChildrenChanged") entry.dataArmed = false
    if (tag === "NodeChildrenChanged" || tag === "NodeDeleted") entry.childArmed = false
    if (!this.persistent && this.send !== undefined) this.armOnce(path, entry)
  }

  private deliver(entry: Entry, tag: WatchEvent.NodeEvent["_tag"], path: string): void {
    const { consumers } = entry
    const only = consumers[0]
    // A consumer may remove itself while it is notified.
    if (only !== undefined && consumers.length === 1) {
      if (concerns(only.kind, tag)) only.notify(tag, path)
      return
    }
    for (const consumer of [...consumers]) if (concerns(consumer.kind, tag)) consumer.notify(tag, path)
  }

  // -------------------------------------------------------------------------
  // connections
  // -------------------------------------------------------------------------

  /** The connection is gone, and the server's watches with it. */
  disconnected(): void {
    this.send = undefined
    this.rearming = 0
    this.recursive.clear()
    for (const entry of this.entries.values()) {
      entry.mode = "none"
      entry.dataArmed = entry.childArmed = false
    }
  }

  /**
   * A connection is there: requests that arm everything, to be sent before all
   * others. `relativeZxid` is the last zxid that the old connection showed.
   */
  connected(
    send: Send,
    options: {
      readonly relativeZxid: bigint
      readonly newSession: boolean
      /** In bytes: what one request may have. */
      readonly maxRequestSize: number
    }
  ): Array<Batch> {
    this.send = send
    const largest = Math.min(largestBatch, options.maxRequestSize) - batchHeader
    const batches: Array<Batch> = []
    let lists = emptyLists()
    let size = 0
    const flush = () => {
      if (size > 0) batches.push(this.batch(options.relativeZxid, lists))
      lists = emptyLists()
      size = 0
    }
    const put: Put = (list, path) => {
      // A character has three bytes at most.
      const most = 4 + 3 * path.length
      if (size + most > largest) flush()
      lists[list].push(path)
      size += most
    }
    for (const [path, entry] of this.entries) this.relist(put, path, entry, options.newSession)
    flush()
    this.rearming = batches.length
    return batches
  }

  private relist(put: Put, path: string, entry: Entry, newSession: boolean): void {
    const mode = entry.wanted()
    const compares = !newSession
    const data = entry.wants(bitOf.nodeOnce | following)
    const child = entry.exists && entry.wants(bitOf.childrenOnce | followingChildren)
    const once = mode === "once" || !this.persistent
    if (compares || once) {
      if (data) {
        put(entry.exists ? "dataWatches" : "existWatches", path)
        entry.dataArmed = once
      }
      if (child) {
        put("childWatches", path)
        entry.childArmed = once
      }
    }
    entry.mode = once ? "once" : mode
    if (mode === "persistent" && !once) put("persistentWatches", path)
    if (mode === "recursive" && !once) put("persistentRecursiveWatches", path)
  }

  private batch(relativeZxid: bigint, lists: Lists): Batch {
    const { childWatches, dataWatches, existWatches, persistentRecursiveWatches, persistentWatches } = lists
    const recursive = persistentRecursiveWatches.map((path) => [path, this.entries.get(path)] as const)
    const settled: Batch["settled"] = (exit) => {
      const reason = failureOf(exit)
      // Servers before 3.6 close the connection on setWatches2; the next one is armed with what they know.
      if (reason?._tag === "Unimplemented") this.withoutPersistence()
      if (reason !== undefined) return
      this.rearming--
      for (const [path, entry] of recursive) if (entry !== undefined) this.switched("recursive", path, entry)
    }
    return persistentWatches.length > 0 || recursive.length > 0
      ? { call: setWatches2, request: { relativeZxid, ...lists }, settled }
      : { call: setWatches, request: { relativeZxid, dataWatches, existWatches, childWatches }, settled }
  }

  /** Tells everyone that events may have been missed; those who lost theirs for good are ended. */
  gap(reason: WatchEvent.Gap["reason"]): void {
    for (const entry of [...this.entries.values()]) {
      for (const consumer of [...entry.consumers]) consumer.gap(reason)
    }
  }

  /** Ends one-shot consumers, which belong to a session, or all when there will be no other session. */
  fail(reason: Reason, all: boolean): void {
    if (all) this.ended = reason
    for (const entry of [...this.entries.values()]) {
      for (const consumer of [...entry.consumers]) {
        if (all || consumer.kind === "nodeOnce" || consumer.kind === "childrenOnce") consumer.fail(reason)
      }
    }
  }
}

const concerns = (kind: Kind, tag: WatchEvent.NodeEvent["_tag"]): boolean => {
  switch (kind) {
    case "persistent":
      return true
    case "recursive":
      return tag !== "NodeChildrenChanged"
    case "node":
    case "nodeOnce":
      return tag !== "NodeChildrenChanged"
    case "children":
      return tag !== "NodeDataChanged"
    case "childrenOnce":
      return tag === "NodeChildrenChanged" || tag === "NodeDeleted"
  }
}
