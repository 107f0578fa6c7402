/** Everything in which a secret could come to light. */
import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import { inspect } from "node:util"
import { logged } from "./Lines.ts"
import { collecting } from "./Spans.ts"

/** Shows what a program has in its hands, in every way in which such things are printed. */
export type Show = (...values: ReadonlyArray<unknown>) => void

const deep = (value: unknown): string =>
  inspect(value, { depth: 20, showHidden: true, maxArrayLength: Infinity, maxStringLength: Infinity })

const waysToPrint = (value: unknown): string => {
  const ways = [deep(value), String(value), JSON.stringify(value, (_, each) => typeof each === "bigint" ? String(each) : each)]
  if (Exit.isExit(value) && Exit.isFailure(value)) ways.push(Cause.pretty(value.cause), deep(Cause.squash(value.cause)))
  return ways.join("\n")
}

/** Runs a program, and returns what it has shown with all its log lines, spans (attributes, events, exceptions) and metrics. */
export const exposed = <A, E, R>(
  program: (show: Show) => Effect.Effect<A, E, R>
): Effect.Effect<readonly [A, string], E, R> =>
  Effect.suspend(() => {
    const shown: Array<string> = []
    const { spans, tracer } = collecting()
    const counted = Effect.gen(function*() {
      const value = yield* program((...values) => void shown.push(...values.map(waysToPrint)))
      return [value, yield* PrometheusMetrics.format()] as const
    })
    return logged(counted).pipe(
      Effect.withTracer(tracer),
      Effect.provideServiceEffect(Metric.MetricRegistry, Effect.sync(() => new Map())),
      Effect.map(([[value, metrics], lines]) => [value, [...shown, lines, metrics, deep(spans)].join("\n")] as const)
    )
  })

/** However it is written. */
export const assertHidden = (text: string, secret: string | Uint8Array): void => {
  const bytes = Buffer.from(secret)
  assert.isAbove(bytes.length, 4)
  const writings = [
    ...typeof secret === "string" ? [secret] : [],
    // Of base64 what does not depend on the bytes before.
    bytes.toString("base64").slice(0, -4),
    bytes.toString("hex"),
    Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" "),
    bytes.join(", "),
    bytes.join(",")
  ]
  for (const writing of writings) assert.notInclude(text, writing)
}
