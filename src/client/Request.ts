/**
 * One request from its encoding to its answer.
 */
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { ErrorCode } from "../jute/ErrorCode.ts"
import * as Jute from "../jute/Jute.ts"
import type * as Protocol from "../jute/Protocol.ts"
import {
  AuthFailed,
  AuthRequired,
  ConnectionError,
  ConnectionLoss,
  EphemeralOnLocalSession,
  NotReadOnly,
  type Outcome,
  type Reason,
  RequestTimeout,
  ServerError,
  SessionExpired,
  SessionMoved,
  Throttled,
  Unimplemented
} from "../ZooKeeperError.ts"
import { Ending, type Telemetry } from "./Telemetry.ts"

/** Request numbers run from 1 to 2^31-1 and begin again at 1: 0 and below have meanings of their own. */
export const xidAfter = (xid: number): number => xid === 0x7fff_ffff ? 1 : xid + 1

/** What the caller named: errors speak of it. */
export interface Subject {
  /** The caller's path, or `undefined` where an operation has none. */
  readonly path: string | undefined
  /** The version that was expected, -1 for any. */
  readonly version?: number
}

/** How one public operation is asked and answered. */
export interface Call<Request, Value, Failure> {
  readonly name: string
  /** Stands for the name where it is counted. */
  readonly number: number
  readonly opCode: number
  readonly request: Jute.LayoutOf<Request>
  readonly read: (reader: Jute.Reader) => Value
  /** Reads have no effect: when their reply is lost, nothing was applied. */
  readonly isRead: boolean
  /** What the answer "there is no such znode" is worth, where that is no failure. */
  readonly absent: Option.Option<Value>
  /** Answers that are about the znode, by code. */
  readonly failures: { readonly [code: number]: (subject: Subject) => Failure }
}

/** A code that is about the znode, and the error it becomes. */
export interface Failing<Failure> {
  readonly code: number
  readonly make: (subject: Subject) => Failure
}

const names: Array<string> = []

const numberOf = (name: string): number => {
  const known = names.indexOf(name)
  return known < 0 ? names.push(name) - 1 : known
}

/** Describes an operation once; the connection only follows it. */
export const call = <Request, Response, Value, const Failures extends ReadonlyArray<Failing<unknown>> = readonly []>(
  name: string,
  operation: Protocol.Operation<Request, Response>,
  options: {
    readonly value: (response: Response) => Value
    readonly absent?: Value
    readonly failures?: Failures
    readonly isRead?: boolean
  }
): Call<Request, Value, ReturnType<Failures[number]["make"]>> => {
  const response = Jute.layoutOf(operation.response)
  const failures: Record<number, (subject: Subject) => ReturnType<Failures[number]["make"]>> = {}
  for (const { code, make } of options.failures ?? []) {
    failures[code] = make as (subject: Subject) => ReturnType<Failures[number]["make"]>
  }
  return {
    name,
    number: numberOf(name),
    opCode: operation.opCode,
    request: Jute.layoutOf(operation.request),
    read: (reader) => options.value(response.read(reader)),
    isRead: options.isRead ?? false,
    absent: options.absent === undefined ? Option.none() : Option.some(options.absent),
    failures
  }
}

/** The reason that a code stands for where it is not about a znode. */
export const reasonOf = (code: number, operation: string): Reason => {
  switch (code) {
    case ErrorCode.ConnectionLoss:
    case ErrorCode.OperationTimeout:
      return new ConnectionLoss({ detail: "the server lost it" })
    case ErrorCode.SessionExpired:
      return new SessionExpired({})
    case ErrorCode.SessionMoved:
      return new SessionMoved({})
    case ErrorCode.AuthFailed:
      return new AuthFailed({})
    case ErrorCode.SessionClosedRequireAuth:
      return new AuthRequired({})
    case ErrorCode.NotReadOnly:
      return new NotReadOnly({})
    case ErrorCode.Throttled:
      return new Throttled({})
    case ErrorCode.Unimplemented:
    case ErrorCode.ReconfigDisabled:
      return new Unimplemented({ operation })
    case ErrorCode.EphemeralOnLocalSession:
      return new EphemeralOnLocalSession({})
    case ErrorCode.RequestTimeout:
      return new RequestTimeout({ millis: 0 })
    default:
      return new ServerError({ code })
  }
}

const outcomeOf = (code: number): Outcome =>
  code === ErrorCode.ConnectionLoss || code === ErrorCode.OperationTimeout || code === ErrorCode.RequestTimeout
    ? "Unknown"
    : "NotApplied"

/** A request that waits: for a connection, then for its answer. */
export class Pending {
  xid = 0
  /** When it was encoded, in monotonic ms; kept only where a request timeout is set. */
  sentAt = 0
  /** How often it was asked again, because the server was too busy to execute it. */
  repeats = 0
  /** Its caller went away before it was sent: it must not be sent any more. */
  cancelled = false
  /** Where its end is counted; requests of the client's own are not. */
  telemetry: Telemetry | undefined = undefined
  // `make` checks that these four belong together; in the list of what is pending nobody needs to know their types.
  readonly call: Call<any, any, any>
  readonly request: unknown
  readonly subject: Subject
  private readonly resume: (exit: Exit.Exit<any, any>) => void

  private constructor(
    operation: Call<any, any, any>,
    request: unknown,
    subject: Subject,
    resume: (exit: Exit.Exit<any, any>) => void
  ) {
    this.call = operation
    this.request = request
    this.subject = subject
    this.resume = resume
  }

  static make<Request, Value, Failure>(
    operation: Call<Request, Value, Failure>,
    request: Request,
    subject: Subject,
    resume: (exit: Exit.Exit<Value, Failure | ConnectionError>) => void
  ): Pending {
    return new Pending(operation, request, subject, resume)
  }

  succeed(value: unknown): void {
    this.count(Ending.Ok)
    this.resume(Exit.succeed(value))
  }

  /** Completes with what the reply's code says. */
  refuse(code: number): void {
    const { absent } = this.call
    if (code === ErrorCode.NoNode && Option.isSome(absent)) return this.succeed(absent.value)
    const failure = this.call.failures[code]
    if (failure === undefined) return this.fail(reasonOf(code, this.call.name), outcomeOf(code))
    this.count(Ending.Refused)
    this.resume(Exit.fail(failure(this.subject)))
  }

  fail(reason: Reason, decided: Outcome): void {
    const { path } = this.subject
    const outcome = this.call.isRead ? "NotApplied" : decided
    this.count(Ending[outcome])
    this.resume(Exit.fail(
      new ConnectionError({
        reason,
        outcome,
        operation: this.call.name,
        ...(path === undefined ? {} : { path })
      })
    ))
  }

  private count(ending: Ending): void {
    const { name, number } = this.call
    this.telemetry?.request(name, number, ending)
  }
}
