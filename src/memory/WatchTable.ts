/**
 * Which connections watch which paths, and in what mode.
 *
 * Two lists, as in ZooKeeper: one for data and existence, one for children.
 * Recursive watches are in the first only.
 */

export const EventType = { NodeCreated: 1, NodeDeleted: 2, NodeDataChanged: 3, NodeChildrenChanged: 4 } as const

/** Bits: from 3.9 on a connection may watch one path in several modes at once. */
export const Mode = { OneShot: 1, Persistent: 2, Recursive: 4 } as const

export const modeNames = (modes: number): ReadonlyArray<"oneShot" | "persistent" | "recursive"> => [
  ...(modes & Mode.OneShot ? ["oneShot" as const] : []),
  ...(modes & Mode.Persistent ? ["persistent" as const] : []),
  ...(modes & Mode.Recursive ? ["recursive" as const] : [])
]

const parentOf = (path: string): string | undefined => {
  if (path === "/" || path === "") return undefined
  const slash = path.lastIndexOf("/")
  return slash > 0 ? path.slice(0, slash) : "/"
}

export class WatchList<Watcher> {
  private readonly byPath = new Map<string, Map<Watcher, number>>()
  private readonly byWatcher = new Map<Watcher, Set<string>>()
  private readonly severalModes: boolean
  private recursive = 0

  constructor(severalModes: boolean) {
    this.severalModes = severalModes
  }

  add(path: string, watcher: Watcher, mode: number): void {
    const watchers = this.byPath.get(path)
    const before = watchers?.get(watcher) ?? 0
    const after = this.severalModes ? before | mode : mode
    this.recursive += (after & Mode.Recursive ? 1 : 0) - (before & Mode.Recursive ? 1 : 0)
    if (watchers === undefined) this.byPath.set(path, new Map([[watcher, after]]))
    else watchers.set(watcher, after)
    const paths = this.byWatcher.get(watcher)
    if (paths === undefined) this.byWatcher.set(watcher, new Set([path]))
    else paths.add(path)
  }

  /** Whether the path is watched in any of the modes. Up to 3.8 it is enough that anybody watches it. */
  has(path: string, watcher: Watcher, modes: number): boolean {
    const watchers = this.byPath.get(path)
    return this.severalModes ? ((watchers?.get(watcher) ?? 0) & modes) !== 0 : watchers !== undefined && modes !== 0
  }

  /** Whether any of the modes was there. */
  remove(path: string, watcher: Watcher, modes: number): boolean {
    const watchers = this.byPath.get(path)
    const before = watchers?.get(watcher)
    if (watchers === undefined || before === undefined || (before & modes) === 0) return false
    const after = before & ~modes
    if (before & modes & Mode.Recursive) this.recursive--
    if (after !== 0) {
      watchers.set(watcher, after)
      return true
    }
    watchers.delete(watcher)
    if (watchers.size === 0) this.byPath.delete(path)
    const paths = this.byWatcher.get(watcher)
    paths?.delete(path)
    if (paths?.size === 0) this.byWatcher.delete(watcher)
    return true
  }

  removeWatcher(watcher: Watcher): void {
    for (const path of [...this.byWatcher.get(watcher) ?? []]) this.remove(path, watcher, ~0)
  }

  /** Who is to be told, each once; one-shot watches are used up by it. */
  fire(path: string, type: number): ReadonlyArray<Watcher> {
    const watchers = this.byPath.get(path)
    if (watchers === undefined && this.recursive === 0) return none
    const told = new Set<Watcher>()
    for (const [watcher, modes] of watchers ?? []) {
      if (modes === Mode.Recursive && type === EventType.NodeChildrenChanged) continue
      told.add(watcher)
      if (modes & Mode.OneShot) this.remove(path, watcher, Mode.OneShot)
    }
    if (this.recursive > 0 && type !== EventType.NodeChildrenChanged) {
      for (let above = parentOf(path); above !== undefined; above = parentOf(above)) {
        for (const [watcher, modes] of this.byPath.get(above) ?? []) if (modes & Mode.Recursive) told.add(watcher)
      }
    }
    return [...told]
  }

  get size(): number {
    let size = 0
    for (const watchers of this.byPath.values()) size += watchers.size
    return size
  }

  *entries(): Generator<readonly [path: string, watcher: Watcher, modes: number]> {
    for (const [path, watchers] of this.byPath) {
      for (const [watcher, modes] of watchers) yield [path, watcher, modes]
    }
  }
}

const none: ReadonlyArray<never> = []
