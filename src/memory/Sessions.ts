/**
 * Sessions and when they end.
 *
 * Deadlines are rounded up to ticks, as ZooKeeper's are: a session ends between
 * its timeout and one tick more after it was last heard of.
 */
import type { Connection } from "./Connection.ts"

export interface Session {
  readonly id: bigint
  /** In ms, as granted last. */
  timeout: number
  /** The listener that serves it; requests through any other say that it has moved. */
  owner: string
  /** Given by a read-only server, which knows it alone. */
  readonly isLocal: boolean
  readonly connections: Set<Connection>
  /** Monotonic ms at which it ends unless it is heard of. */
  deadline: number
}

export class Sessions {
  private readonly byId = new Map<bigint, Session>()
  private readonly byDeadline = new Map<number, Set<Session>>()
  private readonly tickTime: number
  private nextId: bigint
  /** Told of a deadline that is earlier than all others. */
  onEarlier: () => void = () => {}

  constructor(tickTime: number, startedAt: number) {
    this.tickTime = tickTime
    // The number of the server, forty bits of time, sixteen bits to count in.
    this.nextId = 1n << 56n | BigInt.asUintN(40, BigInt(startedAt)) << 16n
  }

  open(timeout: number, owner: string, isLocal: boolean, now: number): Session {
    return this.restore(this.nextId++, timeout, owner, isLocal, now)
  }

  /** A session that was opened before: by us, or by who saved the snapshot. */
  restore(id: bigint, timeout: number, owner: string, isLocal: boolean, now: number): Session {
    const session: Session = { id, timeout, owner, isLocal, connections: new Set(), deadline: 0 }
    this.byId.set(id, session)
    if (id >= this.nextId) this.nextId = id + 1n
    this.touch(session, now)
    return session
  }

  get(id: bigint): Session | undefined {
    return this.byId.get(id)
  }

  get size(): number {
    return this.byId.size
  }

  [Symbol.iterator](): IterableIterator<Session> {
    return this.byId.values()
  }

  /** It was heard of. */
  touch(session: Session, now: number): void {
    const deadline = (Math.floor((now + session.timeout) / this.tickTime) + 1) * this.tickTime
    if (deadline === session.deadline) return
    this.forget(session)
    session.deadline = deadline
    const bucket = this.byDeadline.get(deadline)
    if (bucket !== undefined) return void bucket.add(session)
    const isEarlier = deadline < this.nextDeadline
    this.byDeadline.set(deadline, new Set([session]))
    if (isEarlier) this.onEarlier()
  }

  close(session: Session): void {
    this.byId.delete(session.id)
    this.forget(session)
  }

  private forget(session: Session): void {
    const bucket = this.byDeadline.get(session.deadline)
    bucket?.delete(session)
    if (bucket?.size === 0) this.byDeadline.delete(session.deadline)
  }

  /** Monotonic ms; `Infinity` where there are no sessions. */
  get nextDeadline(): number {
    let next = Infinity
    for (const deadline of this.byDeadline.keys()) if (deadline < next) next = deadline
    return next
  }

  /** Those whose time has run out, the earliest first. */
  expired(now: number): ReadonlyArray<Session> {
    return [...this.byDeadline]
      .filter(([deadline]) => deadline <= now)
      .toSorted(([a], [b]) => a - b)
      .flatMap(([, sessions]) => Array.from(sessions))
  }
}
