/**
 * What watches promise, whatever server is behind the layer. Each test has two
 * clients, one that watches and one that changes, and a root of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { WatchEvent } from "../WatchEvent.ts"
import { type OperationError, type Service, ZooKeeper } from "../ZooKeeper.ts"
import * as Acl from "../Acl.ts"
import type { NoAuth } from "../ZooKeeperError.ts"
import type { Connect } from "./Connect.ts"
import { names, record, text } from "./Recording.ts"

const { none, some } = Option

const counted = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, index) => `${index}`)

/** `NodeCreated /a` */
export const line = (event: WatchEvent): string =>
  event._tag === "Gap" ? `Gap ${event.reason}` : `${event._tag} ${event.path}`

/** Creates 400 children, and changes the data after each. */
const churn = (changer: Service, path: string) =>
  Effect.forEach(counted(400), (name) =>
    Effect.andThen(changer.create(`${path}/${name}`), changer.set(path, name)))

/** A hundred events, each of which must be about a change that the value did not show. */
const laterThanRead = (changer: Service, watcher: Service, root: string) =>
  Effect.gen(function*() {
    const churning = yield* Effect.forkChild(Effect.forever(changer.set(root, "x")))
    for (let round = 0; round < 100; round++) {
      yield* Effect.scoped(Effect.gen(function*() {
        const { event, value } = yield* watcher.getAndWatch(root)
        yield* event
        assert.isAbove((yield* watcher.get(root)).stat.version, value.stat.version)
      }))
    }
    yield* Fiber.interrupt(churning)
    // The request under way may still be executed.
    yield* changer.sync(root)
  })

export const watches = (name: string, connect: Connect): void => {
  const client = Effect.suspend(() => Effect.map(Layer.build(Layer.fresh(connect())), Context.get(ZooKeeper)))

  const test = <E>(
    title: string,
    body: (clients: {
      readonly watcher: Service
      readonly changer: Service
      /** A znode of this test alone. */
      readonly root: string
    }) => Effect.Effect<void, E, Scope.Scope>
  ) =>
    it.live(title, () =>
      Effect.gen(function*() {
        const watcher = yield* client
        const changer = yield* client
        const root = yield* changer.create(`/watches-${globalThis.crypto.randomUUID()}`)
        yield* body({ watcher, changer, root })
        yield* changer.deleteRecursive(root)
      }))

  describe(`${name}: watches`, () => {
    // -----------------------------------------------------------------------
    describe("changes", () => {
      test("tell that a znode is there, has changed, was deleted and created again", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const path = `${root}/a`
          yield* changer.create(path, "1")
          const states = yield* record(Stream.map(watcher.changes(path), text))
          assert.deepStrictEqual(yield* states.next, some("1"))
          yield* changer.set(path, "2")
          assert.deepStrictEqual(yield* states.next, some("2"))
          yield* changer.delete(path)
          assert.deepStrictEqual(yield* states.next, none())
          yield* changer.create(path, "3")
          assert.deepStrictEqual(yield* states.next, some("3"))
        }))

      test("begin with None where there is no znode yet, nor its parent", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const path = `${root}/parent/a`
          const states = yield* record(Stream.map(watcher.changes(path), text))
          assert.deepStrictEqual(yield* states.next, none())
          yield* changer.create(`${root}/parent`)
          yield* changer.create(path, "1")
          assert.deepStrictEqual(yield* states.next, some("1"))
        }))

      test("collapse bursts, and the last state always arrives", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const path = yield* changer.create(`${root}/a`, "0")
          const gate = yield* Deferred.make<void>()
          const seen: Array<Option.Option<string>> = []
          const slow = yield* Effect.forkChild(Stream.runForEach(
            Stream.takeUntil(Stream.map(watcher.changes(path), text), (state) => Option.contains(state, "end")),
            (state) => {
              seen.push(state)
              return Deferred.await(gate)
            }
          ))
          yield* Effect.forEach(counted(200), (data) => changer.set(path, data), { concurrency: "unbounded" })
          yield* watcher.sync(path)
          yield* Deferred.succeed(gate, undefined)
          // Nothing but the last state may be left to tell.
          const late = yield* record(Stream.map(watcher.changes(path), text))
          assert.deepStrictEqual(yield* late.next, some("199"))
          yield* changer.set(path, "end")
          yield* Fiber.join(slow)
          assert.deepStrictEqual(seen.at(-1), some("end"))
          assert.isAtMost(seen.length, 3)
        }))

      test("do not tell a state twice, nor what happens below", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const path = yield* changer.create(`${root}/a`, "1")
          const states = yield* record(Stream.map(watcher.changes(path), text))
          yield* states.next
          yield* changer.create(`${path}/child`)
          yield* changer.set(`${path}/child`, "x")
          yield* changer.delete(`${path}/child`)
          yield* changer.set(path, "2")
          assert.deepStrictEqual(yield* states.next, some("2"))
          assert.deepStrictEqual(states.seen, [some("1"), some("2")])
        }))

      test("arrive at every consumer, with or without the others", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const path = yield* changer.create(`${root}/a`, "1")
          const consumers = yield* Effect.forEach([1, 2, 3], () => record(Stream.map(watcher.changes(path), text)))
          for (const { next } of consumers) assert.deepStrictEqual(yield* next, some("1"))
          const [first, ...others] = consumers
          yield* first?.stop ?? Effect.void
          yield* changer.set(path, "2")
          for (const { next } of others) assert.deepStrictEqual(yield* next, some("2"))
          assert.deepStrictEqual(first?.seen, [some("1")])
        }))
    })

    // -----------------------------------------------------------------------
    describe("childrenChanges", () => {
      test("tell the children, and whether there is a znode", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const path = `${root}/a`
          const states = yield* record(Stream.map(watcher.childrenChanges(path), names))
          assert.deepStrictEqual(yield* states.next, none())
          yield* changer.create(path)
          assert.deepStrictEqual(yield* states.next, some([]))
          yield* changer.create(`${path}/x`)
          assert.deepStrictEqual(yield* states.next, some(["x"]))
          yield* changer.set(path, "ignored")
          yield* changer.set(`${path}/x`, "ignored")
          yield* changer.create(`${path}/y`)
          assert.deepStrictEqual(yield* states.next, some(["x", "y"]))
          yield* changer.delete(`${path}/x`)
          assert.deepStrictEqual(yield* states.next, some(["y"]))
          yield* changer.delete(`${path}/y`)
          assert.deepStrictEqual(yield* states.next, some([]))
          yield* changer.delete(path)
          assert.deepStrictEqual(yield* states.next, none())
          yield* changer.create(path)
          assert.deepStrictEqual(yield* states.next, some([]))
          assert.strictEqual(states.seen.length, 8)
        }))

      test("arrive at the last state after a burst", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const states = yield* record(Stream.map(watcher.childrenChanges(root), names))
          yield* states.next
          yield* Effect.forEach(counted(100), (name) => changer.create(`${root}/${name}`), { concurrency: "unbounded" })
          yield* states.upTo((state) => Option.isSome(state) && state.value.length === 100)
        }))
    })

    // -----------------------------------------------------------------------
    describe("watch", () => {
      test("persistent: every event of the znode in order, and of no other", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const path = `${root}/a`
          const events = yield* record(Stream.map(watcher.watch(path), line))
          yield* watcher.sync(path)
          yield* changer.create(path)
          yield* changer.set(path, "1")
          yield* changer.set(path, "1")
          yield* changer.create(`${path}/x`)
          yield* changer.set(`${path}/x`, "1")
          yield* changer.create(`${path}/x/y`)
          yield* changer.delete(`${path}/x/y`)
          yield* changer.delete(`${path}/x`)
          yield* changer.delete(path)
          yield* events.upTo((event) => event === `NodeDeleted ${path}`)
          assert.deepStrictEqual(events.seen, [
            `NodeCreated ${path}`,
            `NodeDataChanged ${path}`,
            `NodeDataChanged ${path}`,
            `NodeChildrenChanged ${path}`,
            `NodeChildrenChanged ${path}`,
            `NodeDeleted ${path}`
          ])
        }))

      test("recursive: the znode and all below it, without NodeChildrenChanged", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const path = `${root}/a`
          const events = yield* record(Stream.map(watcher.watch(path, "recursive"), line))
          // A sibling whose name begins alike is not below, and a child watch below must not show through.
          yield* changer.create(`${root}/ab`)
          yield* changer.create(path)
          yield* changer.create(`${path}/x`)
          const once = yield* watcher.getChildrenAndWatch(`${path}/x`)
          yield* changer.create(`${path}/x/y`)
          yield* changer.set(`${path}/x/y`, "1")
          yield* changer.set(`${root}/ab`, "1")
          yield* changer.delete(`${path}/x/y`)
          yield* changer.delete(`${path}/x`)
          yield* changer.set(path, "1")
          yield* changer.delete(path)
          yield* events.upTo((event) => event === `NodeDeleted ${path}`)
          assert.strictEqual(line(yield* once.event), `NodeChildrenChanged ${path}/x`)
          assert.deepStrictEqual(events.seen, [
            `NodeCreated ${path}`,
            `NodeCreated ${path}/x`,
            `NodeCreated ${path}/x/y`,
            `NodeDataChanged ${path}/x/y`,
            `NodeDeleted ${path}/x/y`,
            `NodeDeleted ${path}/x`,
            `NodeDataChanged ${path}`,
            `NodeDeleted ${path}`
          ])
        }))

      test("recursive from the root of the tree", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const events = yield* record(watcher.watch("/", "recursive").pipe(
            Stream.map(line),
            Stream.filter((event) => event.includes(root))
          ))
          yield* watcher.sync("/")
          yield* changer.create(`${root}/a`)
          yield* changer.set(root, "1")
          yield* changer.delete(`${root}/a`)
          yield* events.upTo((event) => event.startsWith("NodeDeleted"))
          assert.deepStrictEqual(events.seen, [
            `NodeCreated ${root}/a`,
            `NodeDataChanged ${root}`,
            `NodeDeleted ${root}/a`
          ])
        }))

      test("both modes and followers on one path: each gets what is its own", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const path = yield* changer.create(`${root}/a`, "1")
          const persistent = yield* Effect.forEach([1, 2], () => record(Stream.map(watcher.watch(path), line)))
          const recursive = yield* Effect.forEach([1, 2], () =>
            record(Stream.map(watcher.watch(path, "recursive"), line)))
          const data = yield* record(Stream.map(watcher.changes(path), text))
          const children = yield* record(Stream.map(watcher.childrenChanges(path), names))
          yield* data.next
          yield* children.next
          yield* changer.create(`${path}/x`)
          yield* changer.set(`${path}/x`, "1")
          yield* changer.set(path, "2")
          yield* changer.delete(`${path}/x`)
          yield* changer.set(path, "3")
          const isLast = (seen: ReadonlyArray<string>) =>
            seen.filter((event) => event === `NodeDataChanged ${path}`).length === 2
          for (const events of persistent) {
            yield* events.upTo(() => isLast(events.seen))
            assert.deepStrictEqual(events.seen, [
              `NodeChildrenChanged ${path}`,
              `NodeDataChanged ${path}`,
              `NodeChildrenChanged ${path}`,
              `NodeDataChanged ${path}`
            ])
          }
          for (const events of recursive) {
            yield* events.upTo(() => isLast(events.seen))
            assert.deepStrictEqual(events.seen, [
              `NodeCreated ${path}/x`,
              `NodeDataChanged ${path}/x`,
              `NodeDataChanged ${path}`,
              `NodeDeleted ${path}/x`,
              `NodeDataChanged ${path}`
            ])
          }
          yield* data.upTo(Option.contains("3"))
          yield* children.upTo((state) => Option.isSome(state) && state.value.length === 0)
        }))

      test("recursive consumers come and go, a persistent one loses nothing", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const events = yield* record(Stream.map(watcher.watch(root), line))
          yield* watcher.sync(root)
          const churning = yield* Effect.forkChild(churn(changer, root))
          let rounds = 0
          while (churning.pollUnsafe() === undefined) {
            const recursive = yield* record(watcher.watch(root, "recursive"))
            // Now before its watch is there, now after it has told something.
            if (rounds++ % 2 === 0) yield* Effect.raceFirst(recursive.next, Fiber.await(churning))
            yield* recursive.stop
            yield* Effect.yieldNow
          }
          yield* Fiber.join(churning)
          yield* changer.delete(`${root}/0`)
          yield* changer.delete(`${root}/1`)
          const total = 400 + 400 + 2
          yield* Effect.timeoutOption(events.upTo(() => events.seen.length >= total), "5 seconds")
          assert.strictEqual(events.seen.filter((event) => event === `NodeChildrenChanged ${root}`).length, 402)
          assert.strictEqual(events.seen.filter((event) => event === `NodeDataChanged ${root}`).length, 400)
          assert.strictEqual(events.seen.length, total)
        }))

      test("persistent consumers come and go, a recursive one loses nothing", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const events = yield* record(Stream.map(watcher.watch(root, "recursive"), line))
          yield* watcher.sync(root)
          const churning = yield* Effect.forkChild(churn(changer, root))
          while (churning.pollUnsafe() === undefined) {
            const persistent = yield* record(watcher.watch(root))
            yield* watcher.exists(root)
            yield* persistent.stop
            yield* Effect.scoped(Effect.ignore(watcher.getAndWatch(root)))
          }
          yield* Fiber.join(churning)
          yield* watcher.sync(root)
          assert.deepStrictEqual(
            events.seen,
            counted(400).flatMap((name) => [`NodeCreated ${root}/${name}`, `NodeDataChanged ${root}`])
          )
        }))

      test("a recursive consumer leaves one-shot watches behind that still fire", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const recursive = yield* record(watcher.watch(root, "recursive"))
          const children = yield* watcher.getChildrenAndWatch(root)
          const data = yield* watcher.getAndWatch(root)
          yield* recursive.stop
          // The server has done what was asked of it until here.
          yield* watcher.sync(root)
          yield* changer.create(`${root}/x`)
          assert.strictEqual(line(yield* children.event), `NodeChildrenChanged ${root}`)
          yield* changer.set(root, "1")
          assert.strictEqual(line(yield* data.event), `NodeDataChanged ${root}`)
        }))
    })

    // -----------------------------------------------------------------------
    describe("one-shot watches", () => {
      test("exists: created, changed, deleted", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const path = `${root}/a`
          const absent = yield* watcher.existsAndWatch(path)
          assert.deepStrictEqual(absent.value, none())
          yield* changer.create(path)
          assert.deepStrictEqual(yield* absent.event, { _tag: "NodeCreated", path })
          const present = yield* watcher.existsAndWatch(path)
          assert.isTrue(Option.isSome(present.value))
          yield* changer.create(`${path}/x`)
          yield* changer.set(path, "1")
          assert.deepStrictEqual(yield* present.event, { _tag: "NodeDataChanged", path })
          yield* changer.delete(`${path}/x`)
          const last = yield* watcher.existsAndWatch(path)
          yield* changer.delete(path)
          assert.deepStrictEqual(yield* last.event, { _tag: "NodeDeleted", path })
        }))

      test("get: changed, deleted; a missing znode is not watched", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const path = `${root}/a`
          assert.strictEqual((yield* Effect.flip(watcher.getAndWatch(path)))._tag, "NoNode")
          yield* changer.create(path, "1")
          const changed = yield* watcher.getAndWatch(path)
          assert.deepStrictEqual(text(some(changed.value)), some("1"))
          yield* changer.set(path, "2")
          assert.deepStrictEqual(yield* changed.event, { _tag: "NodeDataChanged", path })
          const deleted = yield* watcher.getAndWatch(path)
          yield* changer.delete(path)
          assert.deepStrictEqual(yield* deleted.event, { _tag: "NodeDeleted", path })
        }))

      test("getChildren: a child created or deleted, the znode deleted", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const path = yield* changer.create(`${root}/a`)
          const created = yield* watcher.getChildrenAndWatch(path)
          yield* changer.set(path, "ignored")
          yield* changer.create(`${path}/x`)
          assert.deepStrictEqual(yield* created.event, { _tag: "NodeChildrenChanged", path })
          const removed = yield* watcher.getChildrenAndWatch(path)
          assert.deepStrictEqual(removed.value.children, ["x"])
          yield* changer.set(`${path}/x`, "ignored")
          yield* changer.delete(`${path}/x`)
          assert.deepStrictEqual(yield* removed.event, { _tag: "NodeChildrenChanged", path })
          const deleted = yield* watcher.getChildrenAndWatch(path)
          yield* changer.delete(path)
          assert.deepStrictEqual(yield* deleted.event, { _tag: "NodeDeleted", path })
        }))

      test("tell one event, to all who await it", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const watched = yield* watcher.getAndWatch(root)
          const interrupted = yield* Effect.forkChild(watched.event, { startImmediately: true })
          const waiting = yield* Effect.forEach([1, 2, 3], () =>
            Effect.forkChild(watched.event, { startImmediately: true }))
          yield* Fiber.interrupt(interrupted)
          yield* changer.set(root, "1")
          yield* changer.deleteRecursive(root)
          for (const fiber of waiting) {
            assert.deepStrictEqual(yield* Fiber.join(fiber), { _tag: "NodeDataChanged", path: root })
          }
          assert.deepStrictEqual(yield* watched.event, { _tag: "NodeDataChanged", path: root })
          yield* changer.create(root)
        }))

      test("tell observers at once, before those that await it, and those that come late", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const watched = yield* watcher.getAndWatch(root)
          const seen: Array<string> = []
          const observe = (name: string) =>
            watched.observe((exit) => {
              seen.push(`${name} ${Exit.match(exit, { onSuccess: line, onFailure: String })}`)
            })
          observe("first")
          const stop = observe("gone")
          const waiting = yield* Effect.forkChild(watched.event, { startImmediately: true })
          observe("second")
          stop()
          yield* changer.set(root, "1")
          yield* Fiber.join(waiting)
          yield* watcher.sync(root)
          observe("late")
          yield* changer.set(root, "2")
          yield* watcher.sync(root)
          const event = `NodeDataChanged ${root}`
          assert.deepStrictEqual(seen, [`first ${event}`, `second ${event}`, `late ${event}`])
        }))

      test("by the hundred in one scope: each fires once, those left end with the scope", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          let fired = 0
          for (let round = 0; round < 100; round++) {
            const watched = yield* Scope.provide(watcher.getAndWatch(root), scope)
            watched.observe(() => fired++)
            if (round % 2 === 0) yield* changer.set(root, String(round))
            yield* watcher.sync(root)
          }
          assert.strictEqual(fired, 99)
          yield* Scope.close(scope, Exit.void)
          yield* changer.set(root, "over")
          yield* watcher.sync(root)
          assert.strictEqual(fired, 99)
          // A scope that is closed holds nothing.
          const late = yield* Scope.provide(watcher.getAndWatch(root), scope)
          late.observe(() => fired++)
          yield* changer.set(root, "later")
          yield* watcher.sync(root)
          assert.strictEqual(fired, 99)
        }))

      test("several on one path, of all kinds, each with its own event", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const data = yield* Effect.forEach([1, 2], () => watcher.getAndWatch(root))
          const exists = yield* watcher.existsAndWatch(root)
          const children = yield* Effect.forEach([1, 2], () => watcher.getChildrenAndWatch(root))
          yield* changer.create(`${root}/x`)
          for (const { event } of children) assert.strictEqual((yield* event)._tag, "NodeChildrenChanged")
          const again = yield* watcher.getChildrenAndWatch(root)
          yield* changer.set(root, "1")
          for (const { event } of [...data, exists]) assert.strictEqual((yield* event)._tag, "NodeDataChanged")
          yield* changer.delete(`${root}/x`)
          assert.strictEqual((yield* again.event)._tag, "NodeChildrenChanged")
        }))

      test("do not tell what the value shows already", ({ changer, root, watcher }) =>
        laterThanRead(changer, watcher, root))

      test("work on a path that others follow, and leave it to them", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const events = yield* record(Stream.map(watcher.watch(root), line))
          yield* watcher.sync(root)
          yield* laterThanRead(changer, watcher, root)
          const watched = yield* watcher.getAndWatch(root)
          yield* changer.set(root, "1")
          assert.strictEqual((yield* watched.event)._tag, "NodeDataChanged")
          yield* watcher.sync(root)
          // Nothing that came before or after a one-shot watch was lost.
          const { stat } = yield* watcher.get(root)
          assert.strictEqual(events.seen.length, stat.version)
          yield* changer.set(root, "2")
          yield* changer.set(root, "3")
          yield* watcher.sync(root)
          assert.strictEqual(events.seen.length, stat.version + 2)
        }))

      test("stay when the persistent consumers of their path leave", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const events = yield* record(watcher.watch(root))
          const data = yield* watcher.getAndWatch(root)
          const children = yield* watcher.getChildrenAndWatch(root)
          yield* events.stop
          yield* watcher.sync(root)
          yield* changer.create(`${root}/x`)
          assert.strictEqual((yield* children.event)._tag, "NodeChildrenChanged")
          yield* changer.set(root, "1")
          assert.strictEqual((yield* data.event)._tag, "NodeDataChanged")
        }))

      test("tell nothing any more when their scope is closed", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const watched = yield* Scope.provide(watcher.getAndWatch(root), scope)
          yield* Scope.close(scope, Exit.void)
          const other = yield* watcher.getAndWatch(root)
          yield* changer.set(root, "1")
          yield* other.event
          assert.isTrue(Option.isNone(yield* Effect.timeoutOption(watched.event, 1)))
        }))
    })

    // -----------------------------------------------------------------------
    describe("order and end", () => {
      test("an event is seen before the result of the own write that caused it", ({ root, watcher }) =>
        Effect.gen(function*() {
          const path = `${root}/a`
          const events = yield* record(Stream.map(watcher.watch(path), line))
          const below = yield* record(Stream.map(watcher.watch(root, "recursive"), line))
          yield* watcher.create(path)
          assert.deepStrictEqual(events.seen, [`NodeCreated ${path}`])
          const once = yield* watcher.getAndWatch(path)
          let told = false
          yield* Effect.forkChild(Effect.tap(once.event, () => Effect.sync(() => told = true)), {
            startImmediately: true
          })
          for (let version = 1; version <= 100; version++) {
            yield* watcher.set(path, "x")
            assert.isTrue(told)
            assert.strictEqual(events.seen.length, 1 + version)
            assert.strictEqual(below.seen.length, 1 + version)
          }
          yield* watcher.delete(path)
          assert.strictEqual(events.seen.at(-1), `NodeDeleted ${path}`)
        }))

      test("an event is seen before a read that shows the change", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          const events = yield* record(watcher.watch(root))
          yield* watcher.sync(root)
          const churning = yield* Effect.forkChild(
            Effect.forEach(counted(200), (data) => changer.set(root, data))
          )
          let version = 0
          while (version < 200) {
            version = (yield* watcher.get(root)).stat.version
            assert.isAtLeast(events.seen.length, version)
          }
          yield* Fiber.join(churning)
        }))

      test("nothing is told of znodes that the watcher may not read", ({ changer, root, watcher }) =>
        Effect.gen(function*() {
          // Servers do so from 3.8.4 and 3.9.2 on, and Debian's 3.8.0.
          yield* changer.addAuth("digest", "owner:secret")
          const events = yield* record(watcher.watch(root, "recursive"))
          yield* watcher.sync(root)
          yield* changer.create(`${root}/closed`, "", { acl: Acl.creatorAll })
          yield* changer.set(`${root}/closed`, "x")
          yield* changer.delete(`${root}/closed`)
          yield* changer.create(`${root}/open`)
          const told = yield* events.upTo((event) => line(event).includes("/open"))
          assert.isFalse(told.some((event) => line(event).includes("/closed")))
        }))

      test("malformed paths are refused", ({ watcher }) =>
        Effect.gen(function*() {
          const ends = yield* Effect.forEach([
            Stream.runDrain(watcher.changes("a")),
            Stream.runDrain(watcher.childrenChanges("/a/")),
            Stream.runDrain(watcher.watch("/a//b")),
            Effect.scoped(watcher.existsAndWatch("")),
            Effect.scoped(watcher.getAndWatch("/a/../b")),
            Effect.scoped(watcher.getChildrenAndWatch("/\0"))
          ], (end) => Effect.flip<unknown, { readonly _tag: string }, never>(end))
          for (const error of ends) assert.strictEqual(error._tag, "BadArguments")
        }))

      test("a closed client ends all of them, and every later one", ({ root }) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const closing = yield* Scope.provide(client, scope)
          const persistent = yield* record(closing.watch(root))
          const data = yield* record(closing.changes(root))
          const children = yield* record(closing.childrenChanges(root))
          const once = yield* closing.getAndWatch(root)
          yield* Scope.close(scope, Exit.void)
          const late = [Stream.runDrain(closing.watch(root)), Stream.runDrain(closing.changes(root))]
          for (const end of [persistent.end, data.end, children.end, Effect.asVoid(once.event), ...late]) {
            const error = yield* Effect.flip<void, OperationError | NoAuth, never>(end)
            assert.isTrue(error._tag === "ConnectionError" && error.reason._tag === "Closed")
          }
        }))
    })
  })
}
