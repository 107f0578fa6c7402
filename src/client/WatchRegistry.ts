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

type Mode = "none" | "once" | "persistent" | "recursive"

const AddMode = { Persistent: 0, Recursive: 1 } as const
const WatcherType = { Children: 1, Data: 2, Any: 3, PersistentRecursive: 5 } as const

class Entry {
  readonly consumers: Array<Consumer> = []
  /** What the server has for us on this connection. */
  mode: Mode = "none"
  dataArmed = false
  childArmed = false
  /** As far as we were told; decides how a re-armed watch compares. */
  exists = true

  wanted(): Mode {
    let mode: Mode = "none"
    for (const { kind } of this.consumers) {
      if (kind === "recursive") return "recursive"
      if (kind === "nodeOnce" || kind === "childrenOnce") mode = mode === "none" ? "once" : mode
      else mode = "persistent"
    }
    return mode
  }

  wants(...kinds: ReadonlyArray<Kind>): boolean {
    return this.consumers.some(({ kind }) => kinds.includes(kind))
  }
}

const ignored = { value: () => undefined }
const addWatch = call("watch", Protocol.operations.addWatch, ignored)
const removeWatches = call("unwatch", Protocol.operations.removeWatches, ignored)
const armData = call("watch", Protocol.operations.exists, ignored)
const armChildren = call("watch", Protocol.operations.getChildren, ignored)
const setWatches = call("setWatches", Protocol.operations.setWatches, ignored)
const setWatches2 = call("setWatches", Protocol.operations.setWatches2, ignored)

/** In bytes: what one packet of watches may hold (ZOOKEEPER-706). */
const largestBatch = 128 * 1024

const emptyLists = () => ({
  dataWatches: new Array<string>(),
  existWatches: new Array<string>(),
  childWatches: new Array<string>(),
  persistentWatches: new Array<string>(),
  persistentRecursiveWatches: new Array<string>()
})

type Lists = ReturnType<typeof emptyLists>

const failureOf = (exit: Exit.Exit<unknown, ConnectionError>): Reason | undefined => {
  if (exit._tag === "Success") return undefined
  for (const cause of exit.cause.reasons) if (cause._tag === "Fail") return cause.error.reason
  return undefined
}

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
  private recursive = 0
  private send: Send | undefined
  /** Whether the server knows persistent watches: it is taken to, until it says otherwise. */
  private persistent = true

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

  /** From now on; the watch is armed at once, or with the next connection. */
  add(path: string, consumer: Consumer): void {
    const entry = this.entryOf(path)
    entry.consumers.push(consumer)
    if (consumer.kind === "recursive") this.recursive++
    this.arm(path, entry)
  }

  /**
   * Registers a one-shot consumer, and says whether the read that it comes with
   * must arm the watch itself.
   */
  addOnce(path: string, consumer: Consumer): boolean {
    const entry = this.entryOf(path)
    entry.consumers.push(consumer)
    const byRead = entry.mode === "none" || entry.mode === "once"
    if (byRead) {
      entry.mode = "once"
      if (consumer.kind === "nodeOnce") entry.dataArmed = true
      else entry.childArmed = true
    }
    return byRead
  }

  /** No watch and no entry is left behind when the last consumer goes. */
  remove(path: string, consumer: Consumer): void {
    const entry = this.entries.get(path)
    const index = entry?.consumers.indexOf(consumer) ?? -1
    if (entry === undefined || index < 0) return
    entry.consumers.splice(index, 1)
    if (consumer.kind === "recursive") this.recursive--
    this.disarm(path, entry)
    if (entry.consumers.length === 0) this.entries.delete(path)
  }

  private entryOf(path: string): Entry {
    const known = this.entries.get(path)
    if (known !== undefined) return known
    const entry = new Entry()
    this.entries.set(path, entry)
    return entry
  }

  // -------------------------------------------------------------------------
  // arming
  // -------------------------------------------------------------------------

  private request<Request>(
    operation: Call<Request, undefined, never>,
    request: Request,
    onError?: (reason: Reason) => void
  ): void {
    this.send?.(
      Pending.make(operation, request, { path: undefined }, (exit) => {
        const reason = failureOf(exit)
        if (reason !== undefined) onError?.(reason)
      })
    )
  }

  private arm(path: string, entry: Entry): void {
    if (this.send === undefined) return
    const wanted = entry.wanted()
    if (wanted === "none" || wanted === "once") return
    if (!this.persistent) return this.armOnce(path, entry)
    if (entry.mode === wanted || entry.mode === "recursive") return
    entry.mode = wanted
    const mode = wanted === "recursive" ? AddMode.Recursive : AddMode.Persistent
    this.request(addWatch, { path, mode }, (reason) => this.refused(path, entry, reason))
  }

  /** Servers before 3.6 do not know persistent watches: one-shot ones are armed anew after each event. */
  private armOnce(path: string, entry: Entry): void {
    if (entry.wants("recursive")) {
      for (const consumer of [...entry.consumers]) if (consumer.kind === "recursive") consumer.fail(new Unimplemented({ operation: "recursive watch" }))
    }
    entry.mode = "once"
    if (!entry.dataArmed && entry.wants("node", "children", "persistent")) {
      entry.dataArmed = true
      this.request(armData, { path, watch: true })
    }
    if (!entry.childArmed && entry.exists && entry.wants("children", "persistent")) {
      entry.childArmed = true
      this.request(armChildren, { path, watch: true }, () => entry.childArmed = false)
    }
  }

  private refused(path: string, entry: Entry, reason: Reason): void {
    const unknown = reason._tag === "Unimplemented"
      || reason._tag === "ServerError" && reason.code === ErrorCode.MarshallingError
    if (!unknown) return
    this.persistent = false
    entry.mode = "none"
    // An unknown operation closes the connection; then the next one arms. Else it is armed here.
    for (const [each, other] of this.entries) {
      other.mode = other.mode === "once" ? "once" : "none"
      this.arm(each, other)
    }
    if (this.entries.get(path) === entry) this.arm(path, entry)
  }

  private disarm(path: string, entry: Entry): void {
    if (this.send === undefined || entry.mode === "none") return
    const wanted = entry.wanted()
    if (wanted === entry.mode && wanted !== "once") return
    if (wanted === "none") {
      if (entry.mode !== "once" || entry.dataArmed || entry.childArmed) {
        this.request(removeWatches, { path, type: WatcherType.Any })
      }
      return
    }
    if (wanted === "persistent" && entry.mode === "recursive") {
      // Servers up to 3.8 replace the mode; later ones keep both until one is removed.
      entry.mode = "persistent"
      this.request(addWatch, { path, mode: AddMode.Persistent })
      this.request(removeWatches, { path, type: WatcherType.PersistentRecursive })
      return
    }
    if (entry.mode !== "once") return
    if (entry.dataArmed && !entry.wants("nodeOnce", "node", "children", "persistent")) {
      entry.dataArmed = false
      this.request(removeWatches, { path, type: WatcherType.Data })
    }
    if (entry.childArmed && !entry.wants("childrenOnce", "children", "persistent")) {
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
    if (entry !== undefined) {
      if (tag === "NodeDeleted") entry.exists = false
      else if (tag === "NodeCreated") entry.exists = true
      if (entry.mode === "once") this.consumed(path, entry, tag)
      if (tag !== "NodeChildrenChanged" || entry.mode !== "recursive") this.deliver(entry, tag, path)
      if (!this.persistent) {
        for (const consumer of [...entry.consumers]) if (consumer.kind === "persistent") consumer.gap("OneShot")
      }
    }
    if (this.recursive === 0 || tag === "NodeChildrenChanged") return
    for (let ancestor = path; ancestor !== "/";) {
      const parent = ZnodePath.parent(ancestor)
      const above = this.entries.get(parent)
      if (above?.mode === "recursive") {
        for (const consumer of [...above.consumers]) {
          if (consumer.kind === "recursive") consumer.notify(tag, path)
        }
        if (ancestor === path && tag !== "NodeDataChanged") this.deliver(above, "NodeChildrenChanged", parent)
      }
      ancestor = parent
    }
  }

  private consumed(path: string, entry: Entry, tag: WatchEvent.NodeEvent["_tag"]): void {
    if (tag !== "NodeChildrenChanged") entry.dataArmed = false
    if (tag === "NodeChildrenChanged" || tag === "NodeDeleted") entry.childArmed = false
    if (!this.persistent && this.send !== undefined) this.armOnce(path, entry)
  }

  private deliver(entry: Entry, tag: WatchEvent.NodeEvent["_tag"], path: string): void {
    const { consumers } = entry
    const [only] = consumers
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
    for (const entry of this.entries.values()) {
      entry.mode = "none"
      entry.dataArmed = entry.childArmed = false
    }
  }

  /**
   * A connection is there: requests that arm everything, to be sent before all
   * others. `relativeZxid` is the last zxid that the old connection showed.
   */
  connected(send: Send, options: { readonly relativeZxid: bigint; readonly newSession: boolean }): Array<Batch> {
    this.send = send
    const batches: Array<Batch> = []
    let lists = emptyLists()
    let size = 0
    const flush = () => {
      if (size > 0) batches.push(this.batch(options.relativeZxid, lists))
      lists = emptyLists()
      size = 0
    }
    const put = (list: Array<string>, path: string) => {
      list.push(path)
      size += 4 + 3 * path.length
    }
    for (const [path, entry] of this.entries) {
      this.relist(lists, put, path, entry, options.newSession)
      if (size >= largestBatch / 2) flush()
    }
    flush()
    return batches
  }

  private relist(
    lists: Lists,
    put: (list: Array<string>, path: string) => void,
    path: string,
    entry: Entry,
    newSession: boolean
  ): void {
    const mode = entry.wanted()
    const compares = !newSession
    const data = entry.wants("node", "persistent", "nodeOnce") || mode !== "once" && entry.wants("children")
    const child = entry.exists && entry.wants("children", "persistent", "childrenOnce")
    const once = mode === "once" || !this.persistent
    if (compares || once) {
      if (data) {
        put(entry.exists ? lists.dataWatches : lists.existWatches, path)
        entry.dataArmed = once
      }
      if (child) {
        put(lists.childWatches, path)
        entry.childArmed = once
      }
    }
    entry.mode = once ? "once" : mode
    if (mode === "persistent" && !once) put(lists.persistentWatches, path)
    if (mode === "recursive" && !once) put(lists.persistentRecursiveWatches, path)
  }

  private batch(relativeZxid: bigint, lists: Lists): Batch {
    const known = lists.persistentWatches.length > 0 || lists.persistentRecursiveWatches.length > 0
    const { childWatches, dataWatches, existWatches } = lists
    return known
      ? {
        call: setWatches2,
        request: { relativeZxid, ...lists },
        // Servers before 3.6 close the connection on it; the next one is armed with what they know.
        settled: (exit) => {
          if (failureOf(exit)?._tag === "Unimplemented") this.persistent = false
        }
      }
      : {
        call: setWatches,
        request: { relativeZxid, dataWatches, existWatches, childWatches },
        settled: () => undefined
      }
  }

  /** Tells everyone that events may have been missed; those who lost theirs for good are ended. */
  gap(reason: WatchEvent.Gap["reason"]): void {
    for (const entry of [...this.entries.values()]) {
      for (const consumer of [...entry.consumers]) consumer.gap(reason)
    }
  }

  /** Ends one-shot consumers, which belong to a session, or all when there will be no other session. */
  fail(reason: Reason, all: boolean): void {
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
