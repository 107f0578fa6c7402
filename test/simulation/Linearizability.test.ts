import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { check, type Model, type Operation } from "./Linearizability.ts"

// The histories that ship with Porcupine and the verdicts of its tests: etcd under Jepsen, and a key-value store.
const text = gunzipSync(readFileSync(new URL("./histories/porcupine.txt.gz", import.meta.url))).toString()

interface Recorded {
  readonly name: string
  readonly isLinearizable: boolean
  readonly lines: ReadonlyArray<string>
}

const recorded: ReadonlyArray<Recorded> = text.split("# ").slice(1).map((part) => {
  const [head = "", ...lines] = part.trimEnd().split("\n")
  const [kind, number, verdict] = head.split(" ")
  return { name: `${kind} ${number}`, isLinearizable: verdict === "true", lines }
})

/** One line is a call or the return of the process's last call. */
const operationsOf = <Input, Output>(
  lines: ReadonlyArray<string>,
  read: {
    readonly input: (f: string, rest: string) => Input
    readonly output: (type: string, f: string, rest: string) => Output | undefined
  }
): ReadonlyArray<Operation<Input, Output>> => {
  const operations: Array<Operation<Input, Output>> = []
  const open = new Map<string, { readonly input: Input; readonly call: number }>()
  lines.forEach((line, at) => {
    const [, process = "", type = "", f = "", rest = ""] = /^(\S+) (\S+) (\S+) (.*)$/.exec(line) ?? []
    if (type === "invoke") {
      open.set(process, { input: read.input(f, rest), call: at })
      return
    }
    // Of an operation that timed out nobody knows anything, and its process goes on.
    const output = read.output(type, f, rest)
    const called = open.get(process)
    if (type === "info" || called === undefined) return
    open.delete(process)
    operations.push({ ...called, return: output === undefined ? Infinity : at, output })
  })
  for (const called of open.values()) operations.push({ ...called, return: Infinity, output: undefined })
  return operations
}

type RegisterInput =
  | { readonly f: "read" }
  | { readonly f: "write"; readonly value: string }
  | { readonly f: "cas"; readonly from: string; readonly to: string }

const register: Model<string, RegisterInput, string> = {
  initial: "nil",
  key: (state) => state,
  step: (state, input, output) => {
    switch (input.f) {
      case "read":
        return output === undefined || output === state ? state : undefined
      case "write":
        return input.value
      case "cas": {
        const fits = state === input.from
        if (output === undefined) return fits ? input.to : state
        return output === "ok" ? (fits ? input.to : undefined) : fits ? undefined : state
      }
    }
  }
}

const registerOperations = (lines: ReadonlyArray<string>) =>
  operationsOf<RegisterInput, string>(lines, {
    input: (f, rest) => {
      if (f === "read") return { f }
      if (f === "write") return { f, value: rest }
      const [from = "", to = ""] = rest.slice(1, -1).split(" ")
      return { f: "cas", from, to }
    },
    output: (type, f, rest) => rest === ":timed-out" ? undefined : f === "read" ? rest : type
  })

interface StoreInput {
  readonly f: string
  readonly key: string
  readonly value: string
}

const store: Model<string, StoreInput, string> = {
  initial: "",
  key: (state) => state,
  partition: (input) => input.key,
  step: (state, input, output) => {
    if (input.f === "get") return output === undefined || output === state ? state : undefined
    return input.f === "put" ? input.value : state + input.value
  }
}

const storeOperations = (lines: ReadonlyArray<string>) =>
  operationsOf<StoreInput, string>(lines, {
    input: (f, rest) => {
      const [, key = "", value = ""] = /^(\S+) "?(.*?)"?$/.exec(rest) ?? []
      return { f, key, value }
    },
    output: (_type, _f, rest) => /^\S+ "(.*)"$/.exec(rest)?.[1] ?? ""
  })

const verdictOf = ({ lines, name }: Recorded): string =>
  name.startsWith("etcd")
    ? check(registerOperations(lines), register)._tag
    : check(storeOperations(lines), store)._tag

const read = (call: number, end: number, output: string): Operation<RegisterInput, string> => ({
  input: { f: "read" },
  call,
  return: end,
  output
})
const write = (call: number, end: number, value: string): Operation<RegisterInput, string> => ({
  input: { f: "write", value },
  call,
  return: end,
  output: end === Infinity ? undefined : "ok"
})

describe("linearizability", () => {
  it("agrees with the verdicts published with Porcupine", () => {
    const expected = recorded.map(({ isLinearizable, name }) => `${name} ${isLinearizable ? "Linearizable" : "Illegal"}`)
    assert.strictEqual(expected.length, 108)
    assert.deepStrictEqual(recorded.map((each) => `${each.name} ${verdictOf(each)}`), expected)
  })

  it("an unknown write may have happened late, or never, but only once", () => {
    assert.strictEqual(check([write(0, Infinity, "1"), read(5, 6, "nil"), read(7, 8, "1")], register)._tag, "Linearizable")
    assert.strictEqual(check([write(0, Infinity, "1"), read(5, 6, "nil")], register)._tag, "Linearizable")
    const twice = [write(0, Infinity, "1"), read(1, 2, "1"), write(3, 4, "2"), read(5, 6, "1")]
    assert.strictEqual(check(twice, register)._tag, "Illegal")
  })

  it("an operation may not take effect before its call", () => {
    const verdict = check([read(0, 1, "1"), write(2, 3, "1")], register)
    assert.strictEqual(verdict._tag, "Illegal")
    assert.strictEqual(verdict._tag === "Illegal" ? verdict.stuck.call : -1, 0)
  })

  it("gives up at its budget", () => {
    const writes = Array.from({ length: 12 }, (_, index) => write(0, 100, String(index)))
    assert.strictEqual(check([...writes, read(101, 102, "x")], register, 50)._tag, "Undecided")
  })
})
