/**
 * The server's side of one connection: bytes to frames, handshake, identities,
 * and replies and notifications in the order in which they come about.
 */
import * as Schema from "effect/Schema"
import { ErrorCode } from "../jute/ErrorCode.ts"
import * as Jute from "../jute/Jute.ts"
import { OpCode } from "../jute/OpCode.ts"
import * as Protocol from "../jute/Protocol.ts"
import * as AccessControl from "./AccessControl.ts"
import { Inbox } from "./Inbox.ts"
import type { Operation } from "./Operation.ts"
import { operations } from "./Operations.ts"
import { Refusal } from "./Refusal.ts"
import type { Link, Peer, Server } from "./Server.ts"
import { passwordOf } from "./SessionPassword.ts"
import type { Session } from "./Sessions.ts"

const connectRequest = Jute.layoutOf(Protocol.ConnectRequest)
const connectResponse = Jute.layoutOf(Protocol.ConnectResponse)
const authRequest = Jute.layoutOf(Schema.Struct({
  type: Jute.Int,
  scheme: Schema.NullOr(Jute.Text),
  auth: Schema.NullOr(Jute.Bytes)
}))
const saslRequest = Jute.layoutOf(Protocol.operations.sasl.request)
const watcherEvent = Jute.layoutOf(Protocol.WatcherEvent)
const { Xid } = Protocol
const connected = 3
const mostDefects = 100
const mostUnsent = 1 << 28
const mostIdentities = 1000

export class Connection implements Peer {
  readonly server: Server
  readonly link: Link
  readonly identities: Array<AccessControl.Identity>
  session: Session | undefined
  /** The timeout that this connection's session was granted, in ms. */
  timeout = 0
  /** Wall clock ms. */
  readonly since: number
  received = 0
  sent = 0
  /** The last request. */
  readonly last = { opCode: 0, xid: 0, zxid: 0n }
  private words: Uint8Array | undefined = undefined
  private readonly inbox: Inbox
  private readonly writer = new Jute.Writer()
  /** Bytes of replies that wait for the end of this call. */
  private unsent = 0
  private state: "open" | "closing" | "closed" = "open"

  constructor(server: Server, link: Link) {
    this.server = server
    this.link = link
    this.since = server.now
    this.identities = [{ scheme: "ip", id: link.remoteAddress }]
    this.inbox = new Inbox(server.maxBuffer, {
      frame: (reader) =>
        this.state === "open" &&
        (this.session === undefined ? this.handshake(reader) : this.request(reader, this.session)),
      command: (word) => server.command(this, word)
    })
  }

  get sessionId(): bigint {
    return this.session?.id ?? 0n
  }

  // --- In

  readonly receive = (bytes: Uint8Array): void => {
    if (this.state !== "open") return
    try {
      if (!this.inbox.push(bytes)) this.close()
    } catch (defect) {
      // Ours: what a client may do wrong was dealt with before.
      if (this.server.defects.length < mostDefects) this.server.defects.push(defect)
      this.close()
    }
    this.server.flush()
  }

  readonly closed = (): void => {
    if (this.state === "closed") return
    this.state = "closed"
    this.server.forget(this)
  }

  /** False: the client is refused by hanging up. */
  private handshake(reader: Jute.Reader): boolean {
    this.received++
    this.server.traffic.received++
    const request = readOr(connectRequest, reader)
    if (request === undefined) return false
    const { listener } = this.link
    const { server } = this
    const isReadOnly = server.isReadOnly(listener)
    if (isReadOnly && request.readOnly !== true || request.lastZxidSeen > server.zxid) return false
    this.timeout = server.grant(request.timeOut)
    if (isReadOnly && request.sessionId === 0n && !server.hasLocalSessions) {
      // What a server says that may not open sessions: a reply in place of the ConnectResponse.
      this.fail(0, ErrorCode.NotReadOnly)
      return true
    }
    if (request.sessionId === 0n) {
      this.attach(server.openSession(this.timeout, listener))
    } else {
      const session = server.tracker.get(request.sessionId)
      if (isReadOnly && session?.isLocal === false) return false
      // Before the password is looked at: who asks for a session on the same server ends its older connection.
      for (const older of session?.connections ?? []) if (older.link.listener === listener) older.close()
      if (session !== undefined && server.resumes(session, request.passwd, this)) this.attach(session)
    }
    const { session } = this
    this.reply((writer) =>
      connectResponse.write(writer, {
        protocolVersion: 0,
        timeOut: session === undefined ? 0 : this.timeout,
        sessionId: this.sessionId,
        passwd: session === undefined ? new Uint8Array(16) : passwordOf(session.id),
        ...request.readOnly !== undefined && server.release.readOnlyByte ? { readOnly: isReadOnly } : {}
      })
    )
    return session !== undefined
  }

  private attach(session: Session): void {
    this.session = session
    session.connections.add(this)
    this.server.attached(this)
  }

  private request(reader: Jute.Reader, session: Session): boolean {
    const { server } = this
    if (reader.remaining < 8) return false
    const xid = reader.int()
    const opCode = reader.int()
    this.received++
    server.traffic.received++
    server.touch(session)
    this.last.opCode = opCode
    this.last.xid = xid
    if (!server.release.operations.has(opCode)) {
      this.header(xid, -1n, ErrorCode.Unimplemented)
      return false
    }
    switch (opCode) {
      case OpCode.Auth:
        return this.authenticate(xid, reader)
      case OpCode.Ping:
        this.answer(Xid.Ping)
        return true
      case OpCode.CloseSession:
        return this.end(xid, session)
      case OpCode.Sasl:
        return this.negotiate(xid, reader)
    }
    if (server.throttles()) {
      this.fail(xid, ErrorCode.Throttled)
      return true
    }
    if (throughLeader.has(opCode)) {
      if (server.isReadOnly(this.link.listener)) {
        this.fail(xid, ErrorCode.NotReadOnly)
        return true
      }
      if (session.owner !== this.link.listener) {
        // The session has moved. Clients are not told so; they find out where they have moved to.
        if (opCode !== OpCode.Sync) server.nextZxid()
        return false
      }
    }
    const operation = operations.get(opCode)
    return operation !== undefined && this.serve(xid, operation, reader)
  }

  private serve(xid: number, operation: Operation, reader: Jute.Reader): boolean {
    try {
      const body = operation.serve(this, reader)
      if (body !== undefined) this.answer(xid, body)
    } catch (error) {
      if (error instanceof Refusal) this.fail(xid, error.code)
      else if (error instanceof Jute.JuteError) this.fail(xid, ErrorCode.MarshallingError)
      else throw error
    }
    return true
  }

  /** Done at once, in ZooKeeper too: it does not wait for the requests before it. */
  private authenticate(xid: number, reader: Jute.Reader): boolean {
    const request = readOr(authRequest, reader)
    if (request === undefined) return false
    const { auth, scheme } = request
    const identities = scheme === null || auth === null ? undefined : this.server.identitiesOf(this, scheme, auth)
    if (identities === undefined || this.identities.length >= mostIdentities) {
      this.header(xid, 0n, ErrorCode.AuthFailed)
      return false
    }
    for (const identity of identities) {
      if (!this.identities.some(({ id, scheme }) => id === identity.id && scheme === identity.scheme)) {
        this.identities.push(identity)
      }
    }
    this.header(xid, 0n, ErrorCode.Ok)
    return true
  }

  /** There is no mechanism here: the answer is no token, as from a server that was given none. */
  private negotiate(xid: number, reader: Jute.Reader): boolean {
    if (readOr(saslRequest, reader) === undefined) return false
    this.reply((writer) => {
      writeHeader(writer, xid, 0n, ErrorCode.Ok)
      writer.int(-1)
    })
    return true
  }

  private end(xid: number, session: Session): boolean {
    if (session.owner !== this.link.listener) return false
    this.server.endSession(session, this)
    this.answer(xid)
    return false
  }

  // --- Out

  /** A watch fired. Only those are told who may read the znode, whose ACL this is. */
  notify(type: number, path: string, zxid: bigint, acl: AccessControl.AclList): void {
    const { eventZxid, filtersEvents } = this.server.release
    if (filtersEvents && !AccessControl.permits(acl, AccessControl.Permission.Read, this.identities)) return
    this.tell(type, path, eventZxid ? zxid : -1n)
  }

  /** A notification, whoever may read the znode. */
  tell(type: number, path: string, zxid = -1n): void {
    this.reply((writer) => {
      writeHeader(writer, Xid.Notification, zxid, ErrorCode.Ok)
      watcherEvent.write(writer, { type, state: connected, path })
    })
  }

  private answer(xid: number, body?: (writer: Jute.Writer) => void): void {
    const { zxid } = this.server
    this.last.zxid = zxid
    this.reply((writer) => {
      writeHeader(writer, xid, zxid, ErrorCode.Ok)
      body?.(writer)
    })
  }

  private fail(xid: number, code: number): void {
    this.header(xid, this.server.zxid, code)
  }

  private header(xid: number, zxid: bigint, code: number): void {
    this.reply((writer) => writeHeader(writer, xid, zxid, code))
  }

  private reply(write: (writer: Jute.Writer) => void): void {
    if (this.state !== "open") return
    const { writer } = this
    if (writer.isEmpty) this.server.changed(this)
    writer.begin()
    write(writer)
    this.unsent += writer.end()
    this.sent++
    this.server.traffic.sent++
    // Small requests for large znodes, sent in one go, would fill the memory.
    if (this.unsent > mostUnsent) this.close()
  }

  /** Text without a frame, in answer to a command. */
  say(text: string): void {
    this.words = new TextEncoder().encode(text)
    this.server.changed(this)
  }

  /** Hangs up once everything was sent. */
  close(): void {
    if (this.state !== "open") return
    this.state = "closing"
    this.server.forget(this)
    this.server.changed(this)
  }

  /** Hands over what was written. */
  flush(): void {
    this.unsent = 0
    for (const bytes of this.writer.drain()) if (this.state !== "closed") this.link.send(bytes)
    const { words } = this
    if (words !== undefined && this.state !== "closed") this.link.send(words)
    this.words = undefined
    if (this.state !== "closing") return
    this.state = "closed"
    this.link.close()
  }
}

/** What goes through the leader. */
const throughLeader = new Set<number>([
  OpCode.Create,
  OpCode.Create2,
  OpCode.CreateContainer,
  OpCode.CreateTtl,
  OpCode.Delete,
  OpCode.SetData,
  OpCode.SetAcl,
  OpCode.Check,
  OpCode.Multi,
  OpCode.Reconfig,
  OpCode.Sync
])

const writeHeader = (writer: Jute.Writer, xid: number, zxid: bigint, code: number): void => {
  writer.int(xid)
  writer.long(zxid)
  writer.int(code)
}

const readOr = <A>(layout: Jute.LayoutOf<A>, reader: Jute.Reader): A | undefined => {
  try {
    return layout.read(reader)
  } catch (error) {
    if (error instanceof Jute.JuteError) return undefined
    throw error
  }
}
