// The functions that compute, by themselves.
import assert from "node:assert/strict";
import { test } from "node:test";
import { contrast, dark, light, looks } from "../src/colours";
import * as format from "../src/data/format";
import { placeLabels } from "../src/data/labels";
import { paretoFront, staircase } from "../src/data/pareto";
import { fittedRange } from "../src/data/ranges";
import { rooflinePoints, rooflineRange } from "../src/data/roofline";
import { importedRows, neededBytes, samplePrompts, sorted, workingBytes } from "../src/data/variants";
import { parseResults, type Kernel } from "../src/results";
import { shellCommand } from "../src/sections/method";
import { full } from "./fixture";

const named = (name: string, x: number, y: number) => ({ name, x, y });
const names = (points: { name: string }[]) => points.map((point) => point.name).join("");

test("the Pareto front holds what nothing beats in both", () => {
  const points = [named("a", 100, 0), named("b", 200, 0.1), named("c", 150, 0.2), named("d", 300, 0.3)];
  assert.equal(names(paretoFront(points, { x: "higher", y: "lower" })), "abd");
  assert.equal(names(paretoFront(points, { x: "lower", y: "lower" })), "a");
  assert.equal(names(paretoFront(points, { x: "higher", y: "higher" })), "d");
});

test("of equal points the first stands on the front, and a worse one in one figure does not", () => {
  const points = [named("a", 1, 1), named("b", 1, 1), named("c", 1, 2), named("d", 0.5, 1)];
  assert.equal(names(paretoFront(points, { x: "higher", y: "lower" })), "a");
  assert.deepEqual(paretoFront([], { x: "higher", y: "lower" }), []);
});

test("the staircase bounds what is reached, whichever way is better", () => {
  const rising = [named("a", 1, 0), named("b", 2, 5)];
  assert.deepEqual(staircase(rising, { x: "higher", y: "lower" }), [[1, 0], [1, 5], [2, 5]]);
  const falling = [named("a", 1, 5), named("b", 2, 0)];
  assert.deepEqual(staircase(falling, { x: "lower", y: "lower" }), [[1, 5], [2, 5], [2, 0]]);
});

test("numbers keep their significant digits, small and large", () => {
  assert.equal(format.number(0), "0");
  assert.equal(format.number(12.345), "12.3");
  assert.equal(format.number(1.5), "1.50");
  assert.equal(format.number(123456), "123\u202f456");
  assert.equal(format.number(-0.01234), "−0.0123");
  assert.equal(format.number(0.0000123), "1.2\u202f×\u202f10⁻⁵");
  assert.equal(format.number(null), "–");
  assert.equal(format.number(Number.NaN), "–");
});

test("units are decimal and change before a number gets a fourth digit", () => {
  assert.equal(format.bytes(999), "999 B");
  assert.equal(format.bytes(22_016_000), "22.0 MB");
  assert.equal(format.bytes(999_700), "1.00 MB");
  assert.equal(format.count(7_241_000_000), "7.24 B");
  assert.equal(format.count(12), "12");
  assert.equal(format.seconds(0.00123), "1.23 ms");
  assert.equal(format.seconds(0.0000123), "12.3 µs");
  assert.equal(format.seconds(250), "4 min 10 s");
  assert.equal(format.seconds(0), "0 s");
});

test("a share near the whole is not rounded to it", () => {
  assert.equal(format.percent(1), "100 %");
  assert.equal(format.percent(0.9996), "99.96 %");
  assert.equal(format.percent(0.5), "50.0 %");
  assert.equal(format.percent(null), "–");
});

test("an interval shows two digits of its width", () => {
  assert.equal(format.interval(741.23, 735.1, 747.4), "741 [735, 747]");
  assert.equal(format.interval(1.8432, 1.8011, 1.8822), "1.843 [1.801, 1.882]");
  assert.equal(format.interval(32.4, 32.4, 32.4), "32.4");
  assert.equal(format.interval(32.4, null, null), "32.4");
  assert.equal(format.range(null, null, format.number), "unknown");
  assert.equal(format.range(1, 2, format.number), "1.00 to 2.00");
});

test("what the study words becomes a sentence, names stay as they are", () => {
  assert.equal(format.sentence("no difference from bf16"), "No difference from bf16.");
  assert.equal(format.sentence("int8+sdpa overtakes bf16+sdpa"), "int8+sdpa overtakes bf16+sdpa.");
  assert.equal(format.sentence("Clear."), "Clear.");
});

test("an axis has no idle zeros, and a unit stays", () => {
  assert.equal(format.tick((v) => format.number(v, 3))(0.02), "0.02");
  assert.equal(format.tick(format.bytes)(20e6), "20 MB");
  assert.equal(format.tick(format.number)(1500), "1\u202f500");
  assert.equal(format.tick(format.number)(100), "100");
});

test("the range of an axis begins at zero unless that hides the difference", () => {
  assert.deepEqual(fittedRange(10, 100, 0.1).map(Math.round), [0, 110]);
  const [low, high] = fittedRange(95, 100, 0.1);
  assert.ok(low > 90 && low < 95 && high > 100);
  const [only, above] = fittedRange(5, 5, 0.1);
  assert.ok(only < 5 && above > 5);
});

test("labels cover neither each other, nor points, nor the frame", () => {
  const points = [0, 1, 2, 3, 4].map((i) => ({ x: 100 + 4 * i, y: 100 + 2 * i, radius: 6, width: 70, height: 14 }));
  const frame = { left: 0, top: 0, right: 320, bottom: 240 };
  const boxes = placeLabels(points, frame).map(({ x, y }) => ({ left: x - 35, right: x + 35, top: y - 7, bottom: y + 7 }));
  const apart = (a: (typeof boxes)[number], b: (typeof boxes)[number]) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
  boxes.forEach((box, i) => {
    assert.ok(box.left >= frame.left && box.right <= frame.right && box.top >= frame.top && box.bottom <= frame.bottom, `label ${i} leaves the frame`);
    for (const other of boxes.slice(i + 1)) assert.ok(apart(box, other), `label ${i} covers another`);
    for (const { x, y } of points) assert.ok(apart(box, { left: x - 6, right: x + 6, top: y - 6, bottom: y + 6 }), `label ${i} covers a point`);
  });
});

test("a kernel without bytes or operations has no place under the roofline", () => {
  const kernel: Kernel = {
    name: "k", part: "p", calls: 1, seconds: 2, mean_seconds: 2, share: 1, bytes: 4e9, operations: 8e9, gbps: 2, gops: null, share_of_ceiling: null, bound: null,
  };
  assert.deepEqual(rooflinePoints([kernel, { ...kernel, part: "q" }]).map(({ name }) => name), ["k (p)", "k (q)"]);
  assert.deepEqual(rooflinePoints([kernel, { ...kernel, bytes: 0 }, { ...kernel, operations: null }]).map(({ x, y }) => [x, y]), [[2, 4]]);
  const { x, y } = rooflineRange(rooflinePoints([kernel]), 10, [400]);
  assert.ok(x[0] <= 2 && x[1] >= 40, "the ridge at 400 / 10 operations a byte is in view");
  assert.ok(y[0] <= 4 && y[1] >= 400);
});

test("missing values sort last in either direction, equal ones keep their order", () => {
  const rows = [{ n: "a", v: 2 }, { n: "b", v: null }, { n: "c", v: 1 }, { n: "d", v: 2 }];
  const order = (descending: boolean) => sorted(rows, (row) => row.v, descending).map((row) => row.n).join("");
  assert.equal(order(false), "cadb");
  assert.equal(order(true), "adcb");
});

test("another engine's prefill and decoding tests share a row", () => {
  const { imported } = full();
  const [row, ...others] = importedRows(imported);
  assert.equal(others.length, 0);
  assert.equal(row?.prefill?.test, "pp512");
  assert.equal(row?.decode?.rate.median, 702);
});

test("memory is the sum of its parts, and of a variant that does not fit what it needs", () => {
  const { variants } = full();
  const int8 = variants.find((variant) => variant.name === "int8+sdpa")!;
  assert.equal(workingBytes(int8), 34_700_000 + 9_400_000 + 2_100_000);
  assert.equal(neededBytes({ ...int8, memory: { weights_bytes: null, kv_bytes: null, workspace_bytes: null, peak_bytes: null, needed_bytes: 7 } }), 7);
  assert.equal(samplePrompts(variants).length, 2);
});

test("a weight format has one hue, an attention one stroke", () => {
  const all = looks(full().variants);
  assert.equal(all.get("int8+eager")?.hue, all.get("int8+sdpa")?.hue);
  assert.notEqual(all.get("int8+sdpa")?.hue, all.get("nf4-dq+sdpa")?.hue);
  assert.deepEqual([all.get("int8+eager")?.stroke, all.get("int8+sdpa")?.stroke], ["hollow", "solid"]);
});

test("no two variants look alike, even of thirteen formats", () => {
  const [one] = full().variants;
  const many = Array.from({ length: 26 }, (_, i) => ({ ...one!, name: `w${i >> 1}+${i % 2}`, weights: `w${i >> 1}`, attention: i % 2 ? "eager" : "sdpa" }));
  const seen = [...looks(many).values()].map(({ hue, stroke }) => `${hue % light.palette.length} ${stroke}`);
  assert.equal(new Set(seen).size, many.length);
});

test("every colour stands out from the page", () => {
  for (const theme of [light, dark]) {
    for (const colour of [...theme.palette, ...theme.parts]) {
      assert.ok(contrast(colour, theme.background) >= 3, `${theme.name} ${colour} ${contrast(colour, theme.background)}`);
    }
    for (const text of [theme.ink, theme.soft, theme.accent, theme.warn]) assert.ok(contrast(text, theme.background) >= 4.5, `${theme.name} ${text}`);
  }
});

test("results of another schema are refused with both versions", () => {
  assert.throws(() => parseResults('{"schema":"plimsoll.study","schema_version":2}'), /version 2; this page reads plimsoll.study, version 1/);
  assert.throws(() => parseResults("null"), /schema undefined/);
  assert.throws(() => parseResults("{"), /no readable results/);
  assert.equal(parseResults(JSON.stringify(full())).reference, "bf16+sdpa");
});

test("the command can be pasted into a shell", () => {
  assert.equal(shellCommand(["plimsoll", "study", "models/demo", "it's"]), "plimsoll study models/demo 'it'\\''s'");
});
