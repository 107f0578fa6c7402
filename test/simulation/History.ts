/**
 * What a client asked for, and what it was told, in one order over all clients.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Operation } from "./Linearizability.ts"

/**
 * - `Done`: it happened, with this output; an error that the server answers is an output too
 * - `NotApplied`: it certainly did not happen
 * - `Unknown`: nobody can say; so it is too where the caller was interrupted
 */
export type Outcome<Output> =
  | { readonly _tag: "Done"; readonly output: Output }
  | { readonly _tag: "NotApplied"; readonly why: string }
  | { readonly _tag: "Unknown" }
  | { readonly _tag: "Defect"; readonly cause: string }

export interface Call<Input, Output> {
  readonly client: number
  readonly input: Input
  /** What names its write in its data, where it is one. */
  readonly mark: string | undefined
  /** The session that the client had, if it had one. */
  readonly session: bigint | undefined
  /** Position in the order of all calls and returns. */
  readonly called: number
  /** In ms since the beginning. */
  readonly at: number
  returned: number
  outcome: Outcome<Output> | undefined
}

interface Failure {
  readonly _tag: string
  readonly outcome?: "NotApplied" | "Unknown"
  readonly reason?: { readonly _tag: string }
}

export class History<Input, Output> {
  readonly calls: Array<Call<Input, Output>> = []
  private order = 0

  /**
   * Runs an operation and records it. Errors about znodes are outputs, by
   * `refused`; failures of the connection end up in the outcome only. Never fails.
   */
  record<A, E extends Failure, R>(
    about: Pick<Call<Input, Output>, "client" | "input" | "mark" | "session" | "at">,
    operation: Effect.Effect<A, E, R>,
    output: { readonly done: (value: A) => Output; readonly refused: (error: E) => Output }
  ): Effect.Effect<Outcome<Output>, never, R> {
    return Effect.suspend(() => {
      const call: Call<Input, Output> = { ...about, called: this.order++, returned: Infinity, outcome: undefined }
      this.calls.push(call)
      const settle = (outcome: Outcome<Output>) => {
        call.returned = this.order++
        call.outcome = outcome
        return outcome
      }
      return operation.pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => settle(outcomeOf(exit, output)))
        ),
        Effect.exit,
        Effect.map((exit) => call.outcome ?? settle(outcomeOf(exit, output)))
      )
    })
  }

  /** Those that happened, or may have, for the checker. */
  operations(select: (call: Call<Input, Output>) => boolean): ReadonlyArray<Operation<Input, Output>> {
    const operations: Array<Operation<Input, Output>> = []
    for (const call of this.calls) {
      if (!select(call)) continue
      const { called, input, outcome, returned } = call
      if (outcome === undefined || outcome._tag === "Unknown" || outcome._tag === "Defect") {
        operations.push({ input, call: called, return: Infinity, output: undefined })
      } else if (outcome._tag === "Done") {
        operations.push({ input, call: called, return: returned, output: outcome.output })
      }
    }
    return operations
  }
}

const outcomeOf = <A, E extends Failure, Output>(
  exit: Exit.Exit<A, E>,
  output: { readonly done: (value: A) => Output; readonly refused: (error: E) => Output }
): Outcome<Output> => {
  if (Exit.isSuccess(exit)) return { _tag: "Done", output: output.done(exit.value) }
  for (const reason of exit.cause.reasons) {
    if (reason._tag === "Die") return { _tag: "Defect", cause: String(reason.defect) }
    if (reason._tag !== "Fail") continue
    const { error } = reason
    if (error._tag !== "ConnectionError") return { _tag: "Done", output: output.refused(error) }
    return error.outcome === "NotApplied"
      ? { _tag: "NotApplied", why: error.reason?._tag ?? "" }
      : { _tag: "Unknown" }
  }
  return { _tag: "Unknown" }
}
