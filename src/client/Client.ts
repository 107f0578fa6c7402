/**
 * The operations of the service on top of a session: validation, chroot, and
 * the few that take more than one request.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as Acl from "../Acl.ts"
import { format, type Host, parse } from "../ConnectionString.ts"
import { configPath } from "../EnsembleConfig.ts"
import { ErrorCode } from "../jute/ErrorCode.ts"
import { OpCode } from "../jute/OpCode.ts"
import type { MultiRequest } from "../jute/Protocol.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import type { Operation, Results } from "../Transaction.ts"
import * as ZNode from "../Znode.ts"
import * as ZnodePath from "../ZnodePath.ts"
import type { CreateError, Data, OperationError, Service, Watched } from "../ZooKeeper.ts"
import {
  BadArguments,
  ConnectionError,
  NoAuth,
  NoNode,
  type NotEmpty,
  Protocol as ProtocolReason,
  type QuotaExceeded,
  TransactionFailed
} from "../ZooKeeperError.ts"
import { bytesOf, createProblem, refuse, ttlOf, versionProblem } from "./Arguments.ts"
import * as Calls from "./Calls.ts"
import * as FourLetterWord from "./FourLetterWord.ts"
import * as Reconfiguration from "./Reconfiguration.ts"
import { type Call, Pending, reasonOf, type Subject } from "./Request.ts"
import type { Session } from "./Session.ts"
import * as Telemetry from "./Telemetry.ts"
import * as Uuid from "./Uuid.ts"
import * as Watches from "./Watches.ts"
import type { WatchRegistry } from "./WatchRegistry.ts"

/** Paths that one multi-read asks for at first; it is halved where the reply is too large. */
const readTogether = 256

/** How often missing parents are made for one znode. */
const mostParents = 8

const equal = (left: Uint8Array, right: Uint8Array): boolean =>
  left.length === right.length && left.every((byte, index) => byte === right[index])

/** A lost reply to a write: it may have been applied. */
const isUnknown = (error: { readonly _tag: string }): error is ConnectionError =>
  error instanceof ConnectionError && error.outcome === "Unknown" && error.reason._tag !== "TooLarge"

type MultiOperation = (typeof MultiRequest.Type)[number]

type Read = Result.Result<ZNode.Znode, NoNode | NoAuth>

const culprit = (index: number, operation: Operation, code: number): TransactionFailed => {
  const subject = {
    path: operation.path,
    version: operation._tag === "Create" ? -1 : operation.version
  }
  const failing = Calls.inTransaction.find((candidate) => candidate.code === code)
  return new TransactionFailed({
    index,
    path: operation.path,
    error: failing?.make(subject)
      ?? new ConnectionError({ reason: reasonOf(code, "transaction"), outcome: "NotApplied", path: operation.path })
  })
}

const broken = (operation: string): ConnectionError =>
  new ConnectionError({
    reason: new ProtocolReason({ detail: "the results do not fit the operations" }),
    outcome: "Unknown",
    operation
  })

const readOf = (
  result: {
    readonly type: number
    readonly err?: number
    readonly data?: Uint8Array | null
    readonly stat?: ZNode.Stat
  },
  path: string
): Effect.Effect<Read, OperationError> => {
  if (result.type === OpCode.GetData && result.stat !== undefined) {
    return Effect.succeed(Result.succeed({ data: result.data ?? new Uint8Array(0), stat: result.stat }))
  }
  if (result.err === ErrorCode.NoNode) return Effect.succeed(Result.fail(new NoNode({ path })))
  if (result.err === ErrorCode.NoAuth) return Effect.succeed(Result.fail(new NoAuth({ path })))
  return Effect.fail(
    new ConnectionError({
      reason: reasonOf(result.err ?? ErrorCode.SystemError, "getMany"),
      outcome: "NotApplied",
      operation: "getMany",
      path
    })
  )
}

/** Whether the read must arm the watch is known when it leaves, which may be much later. */
class WatchingRead {
  readonly path: string
  private readonly registry: WatchRegistry
  private readonly kind: Watches.Once["kind"]

  constructor(registry: WatchRegistry, kind: Watches.Once["kind"], path: string) {
    this.registry = registry
    this.kind = kind
    this.path = path
  }

  get watch(): boolean {
    return this.registry.armsByRead(this.path, this.kind)
  }
}

export const make = (options: {
  readonly session: Session
  readonly chroot: string
  readonly defaultAcl: ReadonlyArray<Acl.Acl>
  readonly dial: (host: Host) => Effect.Effect<Socket.Socket>
  readonly secret: (credential: Redacted.Redacted<string> | string) => Redacted.Redacted<Uint8Array>
}): Service => {
  const { chroot, defaultAcl, session } = options
  const serverPath = (path: string): string => chroot === "" ? path : ZnodePath.withChroot(chroot, path)
  const clientPath = (path: string): string => chroot === "" ? path : ZnodePath.stripChroot(chroot, path)

  // -------------------------------------------------------------------------
  // asking
  // -------------------------------------------------------------------------

  const submit = (pending: Pending): Effect.Effect<void> | void => {
    // Once sent, it keeps its place in the order whatever becomes of its caller.
    if (session.submit(pending)) {
      return Effect.sync(() => {
        pending.cancelled = true
      })
    }
  }

  const traced = <A, E>(request: Effect.Effect<A, E>, operation: string, path: string | undefined) =>
    Telemetry.traced(request, operation, path, session)

  const ask = <Request, Value, Failure>(
    call: Call<Request, Value, Failure>,
    request: Request,
    subject: Subject
  ): Effect.Effect<Value, Failure | ConnectionError> =>
    Effect.callback((resume) => {
      if (!Telemetry.isTraced()) return submit(Pending.make(call, request, subject, resume))
      const asked = Effect.callback<Value, Failure | ConnectionError>((answer) =>
        submit(Pending.make(call, request, subject, answer)))
      resume(traced(asked, call.name, subject.path))
    })

  /** Validates, then asks: nothing malformed is ever sent. */
  const onPath = <A, E, R>(
    path: string,
    f: (serverPath: string) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | BadArguments, R> => {
    const problem = ZnodePath.problemOf(path)
    return problem === undefined ? f(serverPath(path)) : Effect.fail(refuse("path", path, problem))
  }

  const onVersion = <A, E, R>(
    path: string,
    version: number,
    f: (serverPath: string) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | BadArguments, R> => {
    const problem = versionProblem(version)
    return problem === undefined ? onPath(path, f) : Effect.fail(problem)
  }

  // -------------------------------------------------------------------------
  // creating
  // -------------------------------------------------------------------------

  /** Where a create goes: the sequential children of "/" belong into the chroot, not beside it. */
  const createPath = (path: string, mode: ZNode.CreateMode): string =>
    path === "/" && ZNode.isSequential(mode) ? `${chroot}/` : serverPath(path)

  const createOnce = (
    subject: Subject,
    path: string,
    data: Data,
    mode: ZNode.CreateMode,
    acl: ReadonlyArray<Acl.Acl>,
    ttl: number
  ): Effect.Effect<ZNode.Created, CreateError> => {
    const request = { path: createPath(path, mode), data: bytesOf(data), acl, flags: ZNode.flagOf(mode) }
    const asked = mode === "container"
      ? ask(Calls.createContainer, request, subject)
      : ttl > 0
      ? ask(Calls.createTtl, { ...request, ttl }, subject)
      : ask(Calls.createWithStat, request, subject)
    return chroot === ""
      ? asked
      : Effect.map(asked, ({ path: full, stat }) => ({ path: clientPath(full), stat }))
  }

  /**
   * A create whose reply was lost, found by its unique name. Behind a sync in the
   * session that asked, what is not found was not made, and will not be: the
   * server takes nothing more from the old connection. In another session
   * nothing is certain but what is found, and no ephemeral is ours.
   */
  const findProtected = (
    path: string,
    guid: string,
    lost: { readonly error: ConnectionError; readonly sessionId: bigint; readonly isEphemeral: boolean }
  ): Effect.Effect<Option.Option<ZNode.Created>, ConnectionError> => {
    const parent = ZnodePath.parent(path)
    const isOurs = () => session.currentId === lost.sessionId
    const lookUp = Effect.gen(function*() {
      yield* ask(Calls.sync, { path: serverPath(parent) }, { path: parent })
      const names = yield* ask(Calls.getChildren, { path: serverPath(parent), watch: false }, { path: parent })
      const name = names.find((candidate) => candidate.startsWith(`_c_${guid}-`))
      if (name === undefined) return Option.none()
      const found = ZnodePath.join(parent, name)
      const stat = yield* ask(Calls.exists, { path: serverPath(found), watch: false }, { path: found })
      return Option.some({ path: found, stat })
    }).pipe(Effect.catchTag("NoNode", () => Effect.succeedNone))
    return lookUp.pipe(
      // The look-up itself may meet the next cut: it is a read, and waits for the connection.
      Effect.retry({
        while: (error) => error._tag === "ConnectionError" && (error.isRetryable || error.reason._tag === "SessionExpired"),
        times: 16
      }),
      Effect.mapError(() => lost.error),
      Effect.filterOrFail(
        (found) => isOurs() || !lost.isEphemeral && Option.isSome(found),
        () => lost.error
      )
    )
  }

  const createProtected = (
    path: string,
    guid: string,
    mode: ZNode.CreateMode,
    attempt: Effect.Effect<ZNode.Created, CreateError>
  ): Effect.Effect<ZNode.Created, CreateError> =>
    Effect.catchIf(attempt, isUnknown, (error) =>
      Effect.flatMap(
        // The session is still the one that asked: it cannot end before the connection's requests have failed.
        findProtected(path, guid, { error, sessionId: session.currentId, isEphemeral: mode.startsWith("ephemeral") }),
        Option.match({
          onNone: () => createProtected(path, guid, mode, attempt),
          onSome: Effect.succeed
        })
      ))

  /** Parents may vanish again before the child is there: containers do when they are empty. */
  const withParents = <A>(
    path: string,
    acl: ReadonlyArray<Acl.Acl>,
    create: Effect.Effect<A, CreateError>,
    left = mostParents
  ): Effect.Effect<A, CreateError> =>
    Effect.catchTag(create, "NoNode", (error) =>
      left === 0
        ? Effect.fail(error)
        : Effect.andThen(ensurePath(ZnodePath.parent(path), acl), withParents(path, acl, create, left - 1)))

  const createWithStat: Service["createWithStat"] = (path, data = "", settings = {}) => {
    const mode = settings.mode ?? "persistent"
    const acl = settings.acl ?? defaultAcl
    const problem = createProblem(path, mode, acl)
    if (problem !== undefined) return Effect.fail(problem)
    const ttl = ttlOf(mode, settings.ttl)
    if (typeof ttl !== "number") return Effect.fail(ttl)
    const createAs = (guid: string | undefined) => {
      const target = guid === undefined
        ? path
        : ZnodePath.join(ZnodePath.parent(path), `_c_${guid}-${path.slice(path.lastIndexOf("/") + 1)}`)
      const once = createOnce({ path }, target, data, mode, acl, ttl)
      const safe = guid === undefined ? once : createProtected(target, guid, mode, once)
      return settings.makeParents === true ? withParents(target, acl, safe) : safe
    }
    return settings.protected === true ? Effect.flatMap(Uuid.next, createAs) : createAs(undefined)
  }

  const create: Service["create"] = (path, data = "", settings) => {
    const mode = settings?.mode ?? "persistent"
    const simple = settings?.protected !== true && settings?.makeParents !== true && ZNode.flagOf(mode) < 4
    if (!simple) return Effect.map(createWithStat(path, data, settings), (node) => node.path)
    const acl = settings?.acl ?? defaultAcl
    const problem = createProblem(path, mode, acl)
    if (problem !== undefined) return Effect.fail(problem)
    const ttl = ttlOf(mode, settings?.ttl)
    if (typeof ttl !== "number") return Effect.fail(ttl)
    const asked = ask(
      Calls.create,
      { path: createPath(path, mode), data: bytesOf(data), acl, flags: ZNode.flagOf(mode) },
      { path }
    )
    return chroot === "" ? asked : Effect.map(asked, clientPath)
  }

  const ensurePath: Service["ensurePath"] = (path, acl = defaultAcl) => {
    const problem = createProblem(path, "persistent", acl)
    if (problem !== undefined) return Effect.fail(problem)
    const make = (at: string): ReturnType<Service["ensurePath"]> =>
      ask(Calls.create, { path: serverPath(at), data: new Uint8Array(0), acl, flags: 0 }, { path: at }).pipe(
        Effect.asVoid,
        Effect.catchTag("NodeExists", () => Effect.void),
        Effect.catchTag("NoNode", (error) =>
          at === "/" ? Effect.fail(error) : Effect.andThen(make(ZnodePath.parent(at)), make(at))),
        // Making sure twice is as good as once.
        Effect.catchIf(isUnknown, () => make(at))
      )
    const found = ask(Calls.exists, { path: serverPath(path), watch: false }, { path })
    // What may not be read is there (servers from 3.8.4 on say so).
    return Effect.catchTags(Effect.asVoid(found), { NoNode: () => make(path), NoAuth: () => Effect.void })
  }

  // -------------------------------------------------------------------------
  // reading and writing
  // -------------------------------------------------------------------------

  const get = (path: string) => onPath(path, (full) => ask(Calls.get, { path: full, watch: false }, { path }))

  const exists: Service["exists"] = (path) =>
    onPath(path, (full) =>
      ask(Calls.existsOrNot, { path: full, watch: false }, { path }))

  const set: Service["set"] = (path, data, version = -1) =>
    onVersion(path, version, (full) =>
      ask(Calls.set, { path: full, data: bytesOf(data), version }, { path, version }))

  type UpdateError = NoNode | NoAuth | QuotaExceeded | OperationError

  const sync: Service["sync"] = (path) => onPath(path, (full) => ask(Calls.sync, { path: full }, { path }))

  /** As new as can be: a server may be behind what it has not yet shown us, our own lost write included. */
  const getFresh = (path: string) => Effect.andThen(sync(path), get(path))

  /** Writes of one version whose replies were lost. */
  interface Doubt {
    readonly before: ZNode.Znode
    readonly written: ReadonlyArray<Uint8Array>
    readonly error: ConnectionError
  }

  /**
   * Whether a doubtful write was certainly not applied: nothing has changed, or
   * the next version holds what others wrote. What holds our bytes may be
   * another's, who computed the same.
   */
  const isRefuted = ({ before, written }: Doubt, now: ZNode.Znode): boolean =>
    now.stat.mzxid === before.stat.mzxid
    || now.stat.czxid === before.stat.czxid && now.stat.version === (before.stat.version + 1 | 0)
      && !written.some((data) => equal(data, now.data))

  const update: Service["update"] = <E, R>(
    path: string,
    f: (data: Uint8Array, stat: ZNode.Stat) => Data | Effect.Effect<Data, E, R>
  ): Effect.Effect<ZNode.Znode, E | UpdateError, R> =>
    Effect.gen(function*() {
      let doubt: Doubt | undefined
      while (true) {
        let before: ZNode.Znode
        if (doubt === undefined) {
          before = yield* get(path)
        } else {
          const { error } = doubt
          before = yield* Effect.mapError(RetryPolicy.retry(getFresh(path)), () => error)
          if (!isRefuted(doubt, before)) return yield* error
          // A write of a session that was given up may still arrive, as long as its version is there.
          if (before.stat.mzxid !== doubt.before.stat.mzxid) doubt = undefined
        }
        const computed = f(before.data, before.stat)
        const data = bytesOf(Effect.isEffect(computed) ? yield* computed : computed)
        const written = yield* Effect.result(set(path, data, before.stat.version))
        if (Result.isSuccess(written)) return { data, stat: written.success }
        const { failure } = written
        if (isUnknown(failure)) doubt = { before, written: [...doubt?.written ?? [], data], error: failure }
        else if (failure._tag !== "BadVersion") return yield* doubt?.error ?? failure
      }
    })

  const remove: Service["delete"] = (path, version = -1) =>
    onVersion(path, version, (full) => ask(Calls.remove, { path: full, version }, { path, version }))

  const deleteRecursive: Service["deleteRecursive"] = (path) => {
    const below = (at: string): Effect.Effect<void, NoNode | NoAuth | NotEmpty | OperationError> =>
      Effect.flatMap(
        ask(Calls.getChildren, { path: serverPath(at), watch: false }, { path: at }),
        (names) =>
          Effect.forEach(names, (name) => {
            const child = ZnodePath.join(at, name)
            return below(child).pipe(
              Effect.andThen(dropped(child)),
              Effect.catchTag("NoNode", () => Effect.void)
            )
          }, { concurrency: 64, discard: true })
      )
    const dropped = (at: string) =>
      Effect.catchTags(remove(at), {
        BadVersion: () => Effect.void,
        // Somebody added a child meanwhile: once more, then it is theirs to decide.
        NotEmpty: () => Effect.andThen(below(at), Effect.catchTag(remove(at), "BadVersion", () => Effect.void))
      })
    // The server refuses to delete its root, but only after everything else would be gone.
    if (path === "/" && chroot === "") return Effect.fail(refuse("path", path, "the root cannot be deleted"))
    return onPath(path, () => Effect.andThen(below(path), dropped(path)))
  }

  // -------------------------------------------------------------------------
  // transactions
  // -------------------------------------------------------------------------

  const operationOf = (operation: Operation): MultiOperation | BadArguments => {
    const { path } = operation
    if (operation._tag === "Create") {
      const acl = operation.acl ?? defaultAcl
      const problem = createProblem(path, operation.mode, acl)
      if (problem !== undefined) return problem
      const ttl = ttlOf(operation.mode, operation.ttl)
      if (typeof ttl !== "number") return ttl
      const request = {
        path: createPath(path, operation.mode),
        data: bytesOf(operation.data),
        acl,
        flags: ZNode.flagOf(operation.mode)
      }
      return ttl > 0
        ? { type: OpCode.CreateTtl, request: { ...request, ttl } }
        : { type: operation.mode === "container" ? OpCode.CreateContainer : OpCode.Create, request }
    }
    const problem = ZnodePath.problemOf(path)
    if (problem !== undefined) return refuse("path", path, problem)
    const badVersion = versionProblem(operation.version)
    if (badVersion !== undefined) return badVersion
    const target = { path: serverPath(path), version: operation.version }
    switch (operation._tag) {
      case "Delete":
        return { type: OpCode.Delete, request: target }
      case "Check":
        return { type: OpCode.Check, request: target }
      case "SetData":
        return { type: OpCode.SetData, request: { ...target, data: bytesOf(operation.data) } }
    }
  }

  const transaction = <const Operations extends ReadonlyArray<Operation>>(
    operations: Operations
  ): Effect.Effect<Results<Operations>, TransactionFailed | OperationError> => {
    if (operations.length === 0) return Effect.succeed([] as unknown as Results<Operations>)
    const request: Array<MultiOperation> = []
    for (const operation of operations) {
      const encoded = operationOf(operation)
      if (encoded instanceof BadArguments) return Effect.fail(encoded)
      request.push(encoded)
    }
    return Effect.flatMap(ask(Calls.multi, request, { path: undefined }), (
      results
    ): Effect.Effect<Results<Operations>, TransactionFailed | ConnectionError> => {
      const failed = results.findIndex((result) => result.type === OpCode.Error && result.err !== ErrorCode.Ok)
      const result = results[failed]
      const operation = operations[failed]
      if (result?.type === OpCode.Error && operation !== undefined) {
        return Effect.fail(culprit(failed, operation, result.err))
      }
      if (results.length !== operations.length) return Effect.fail(broken("transaction"))
      // Position by position the results are those of `Results`: the server answers in order.
      return Effect.succeed(results.map((each) =>
        "path" in each ? clientPath(each.path) : each.type === OpCode.SetData ? each.stat : undefined
      ) as unknown as Results<Operations>)
    })
  }

  // -------------------------------------------------------------------------
  // many
  // -------------------------------------------------------------------------

  /** Servers before 3.6 do not know multi-reads, and close the connection on one: they are asked once. */
  let knowsMultiRead = true

  const one = (path: string): Effect.Effect<Read, OperationError> =>
    Effect.map(get(path), (znode): Read => Result.succeed(znode)).pipe(
      Effect.catchTag(["NoNode", "NoAuth"], (error) => Effect.succeed<Read>(Result.fail(error)))
    )

  const together = (paths: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<Read>, OperationError> => {
    const [first] = paths
    if (first === undefined) return Effect.succeed([])
    if (paths.length === 1) return Effect.map(one(first), (read) => [read])
    if (!knowsMultiRead) return Effect.forEach(paths, one, { concurrency: "unbounded" })
    const request = paths.map((path): MultiOperation => ({
      type: OpCode.GetData,
      request: { path: serverPath(path), watch: false }
    }))
    return Effect.flatMap(ask(Calls.multiRead, request, { path: undefined }), (results) =>
      results.length !== paths.length
        ? Effect.fail<OperationError>(broken("getMany"))
        : Effect.forEach(results, (result, index) => readOf(result, paths[index] ?? "/"))).pipe(
        Effect.catchTag("ConnectionError", (error): Effect.Effect<ReadonlyArray<Read>, OperationError> => {
          if (error.reason._tag === "TooLarge") {
            const half = paths.length >>> 1
            return Effect.zipWith(together(paths.slice(0, half)), together(paths.slice(half)), (a, b) => [...a, ...b])
          }
          if (error.reason._tag !== "Unimplemented") return Effect.fail(error)
          knowsMultiRead = false
          return together(paths)
        })
      )
  }

  const getMany: Service["getMany"] = (paths) => {
    for (const path of paths) {
      const problem = ZnodePath.problemOf(path)
      if (problem !== undefined) return Effect.fail(refuse("path", path, problem))
    }
    const parts: Array<ReadonlyArray<string>> = []
    for (let from = 0; from < paths.length; from += readTogether) parts.push(paths.slice(from, from + readTogether))
    return Effect.map(Effect.forEach(parts, together, { concurrency: 4 }), (reads) => reads.flat())
  }

  // -------------------------------------------------------------------------
  // watches
  // -------------------------------------------------------------------------

  const readAndWatch = <Value, Failure>(
    path: string,
    kind: Watches.Once["kind"],
    call: Call<{ readonly path: string; readonly watch: boolean }, Value, Failure>
  ) =>
    onPath(path, (full) =>
      Effect.flatMap(Watches.holding, (holding): Effect.Effect<Watched<Value>, Failure | ConnectionError> => {
        const asked = Effect.callback<Watched<Value>, Failure | ConnectionError>((resume) => {
          const registry = session.watches
          const once = new Watches.Once({ kind, registry, holding, serverPath: full, path })
          const pending = Pending.make(call, new WatchingRead(registry, kind, full), { path }, (exit) => {
            // In the read loop: no event can come between the answer and this.
            if (exit._tag === "Success") {
              once.arm()
              registry.observed(full, !(Option.isOption(exit.value) && Option.isNone(exit.value)))
              resume(Exit.succeed(new Watches.Reading(exit.value, once)))
            } else {
              once.cancel()
              resume(Exit.failCause(exit.cause))
            }
          })
          const unsent = submit(pending)
          return Effect.suspend(() => {
            // Nobody will hold this watch.
            once.cancel()
            return unsent ?? Effect.void
          })
        })
        return Telemetry.isTraced() ? traced(asked, call.name, path) : asked
      }))

  const onStream = <A, E>(
    path: string,
    f: (serverPath: string) => Stream.Stream<A, E>
  ): Stream.Stream<A, E | BadArguments> => {
    const problem = ZnodePath.problemOf(path)
    return problem === undefined ? f(serverPath(path)) : Stream.fail(refuse("path", path, problem))
  }

  // -------------------------------------------------------------------------
  // the ensemble
  // -------------------------------------------------------------------------

  // Outside of any chroot.
  const path = configPath

  const config: Service["config"] = Effect.flatMap(
    ask(Calls.get, { path, watch: false }, { path }),
    ({ data }) => Reconfiguration.decode(data)
  )

  // Built where it is used: a stream is a kilobyte that most clients never need.
  const configChanges: Service["configChanges"] = Stream.suspend(() =>
    Watches.follow(session.watches, {
      path,
      serverPath: path,
      kind: "node",
      read: ask(Calls.getOrNot, { path, watch: false }, { path }),
      isSame: (a, b) => a.stat.mzxid === b.stat.mzxid
    }).pipe(
      Stream.filterMap(Result.fromOption(() => undefined)),
      Stream.mapEffect(({ data }) => Reconfiguration.decode(data))
    )
  )

  const reconfig: Service["reconfig"] = (change) =>
    Effect.flatMap(Effect.fromResult(Reconfiguration.requestOf(change)), (request) =>
      Effect.flatMap(
        ask(Calls.reconfig, request, { path, version: Number(request.curConfigId) }),
        ({ data }) => Reconfiguration.decode(data)
      ))

  const updateHosts: Service["updateHosts"] = (hosts) =>
    Effect.flatMap(parse(hosts), (servers) =>
      servers.chroot === "" || servers.chroot === chroot
        ? session.updateHosts(servers.hosts)
        : Effect.fail(refuse("hosts", format(servers), `the chroot stays ${JSON.stringify(chroot)}`)))

  return {
    chroot,
    config,
    configChanges,
    reconfig,
    updateHosts,
    create,
    createWithStat,
    exists,
    get,
    getMany,
    getChildren: (path) => onPath(path, (full) => ask(Calls.getChildren, { path: full, watch: false }, { path })),
    getChildrenWithStat: (path) =>
      onPath(path, (full) => ask(Calls.getChildrenWithStat, { path: full, watch: false }, { path })),
    set,
    update,
    delete: remove,
    deleteRecursive,
    ensurePath,
    getAcl: (path) => onPath(path, (full) => ask(Calls.getAcl, { path: full }, { path })),
    setAcl: (path, acl, version = -1) => {
      const problem = Acl.problemOf(acl)
      return problem === undefined
        ? onVersion(path, version, (full) =>
          ask(Calls.setAcl, { path: full, acl, version }, { path, version }))
        : Effect.fail(refuse("acl", JSON.stringify(acl), problem))
    },
    sync,
    getEphemerals: (path = "/") =>
      onPath(path, (full) =>
        Effect.map(ask(Calls.getEphemerals, { prefixPath: full }, { path }), (found) =>
          // The server compares plain prefixes: "/a" would find "/ab" as well.
          found.filter((each) => full === "/" || each === full || each.startsWith(`${full}/`)).map(clientPath))),
    countDescendants: (path) => onPath(path, (full) => ask(Calls.countDescendants, { path: full }, { path })),
    whoAmI: ask(Calls.whoAmI, {}, { path: undefined }),
    addAuth: (scheme, credential) => session.addAuth({ scheme, credential: options.secret(credential) }),
    transaction,
    changes: (path) =>
      onStream(path, (full) =>
        Watches.follow(session.watches, {
          path,
          serverPath: full,
          kind: "node",
          read: ask(Calls.getOrNot, { path: full, watch: false }, { path }),
          isSame: (a, b) => a.stat.mzxid === b.stat.mzxid && a.stat.czxid === b.stat.czxid
        })),
    childrenChanges: (path) =>
      onStream(path, (full) =>
        Watches.follow(session.watches, {
          path,
          serverPath: full,
          kind: "children",
          read: ask(Calls.getChildrenOrNot, { path: full, watch: false }, { path }),
          isSame: (a, b) => a.stat.pzxid === b.stat.pzxid && a.stat.czxid === b.stat.czxid
        })),
    watch: (path, mode = "persistent") =>
      onStream(path, (full) =>
        Watches.events(session.watches, { path, serverPath: full, kind: mode, clientPath })),
    existsAndWatch: (path) => readAndWatch(path, "nodeOnce", Calls.existsOrNot),
    getAndWatch: (path) => readAndWatch(path, "nodeOnce", Calls.get),
    getChildrenAndWatch: (path) => readAndWatch(path, "childrenOnce", Calls.getChildrenWithStat),
    state: SubscriptionRef.get(session.state),
    states: Stream.suspend(() => SubscriptionRef.changes(session.state)),
    session: session.connected,
    isAlive: Effect.sync(() => session.isAlive),
    disconnected: session.untilDisconnected,
    sessionEnd: Effect.suspend(() => session.untilEnded),
    detach: session.detach,
    serverFacts: Effect.flatMap(session.connected, ({ server }) =>
      Effect.flatMap(options.dial(server), (socket) => FourLetterWord.serverFacts(socket, "5 seconds")))
  }
}
