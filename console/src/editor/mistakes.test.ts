import { parser as json } from "@lezer/json";
import { parser as yaml } from "@lezer/yaml";
import { describe, expect, it } from "vitest";
import { schemaMistakes, serverMistake } from "./mistakes";
import { modelOf } from "./model";
import { Schema } from "./schema";

const schema = new Schema({
  $ref: "#/definitions/Spec",
  definitions: {
    Spec: {
      type: "object",
      properties: {
        transform: { anyOf: [{ $ref: "#/definitions/Transform" }, { type: "null" }] },
        datumTries: { type: ["string", "integer"] },
        mode: { enum: ["FAST", "SLOW"] },
        inputs: { type: "array", items: { $ref: "#/definitions/Transform" } },
      },
      additionalProperties: false,
    },
    Transform: {
      type: "object",
      properties: { cmd: { type: "array", items: { type: "string" } }, env: { type: "object", additionalProperties: { type: "string" } } },
      additionalProperties: false,
    },
  },
});

function mistakes(text: string, parser = yaml) {
  const model = modelOf(parser.parse(text), text);
  if (!model) throw new Error("the text holds no value");
  return schemaMistakes(model, schema).map(({ from, to, message }) => [text.slice(from, to), message]);
}

describe("mistakes by the schema", () => {
  it("a spec that fits has none, in both spellings of names", () => {
    expect(mistakes("transform:\n  cmd: [a]\n  env: {A: b}\ndatum_tries: 3\nmode: FAST\n")).toEqual([]);
    expect(mistakes('{"datumTries": "3", "transform": null}', json)).toEqual([]);
  });

  it("each is where it belongs", () => {
    const text = "transform:\n  cmd: a\ndatum_trise: 3\nmode: NONE\ninputs:\n- cmd: [1]\n";
    expect(mistakes(text)).toEqual([
      ["a", "transform.cmd is the string a, but must be a list"],
      ["datum_trise", 'unknown field "datum_trise"; did you mean "datumTries"?'],
      ["NONE", 'mode is "NONE", but must be one of FAST, SLOW'],
      ["1", "inputs[0].cmd[0] is the number 1, but must be a string"],
    ]);
  });

  it("a spec with 500 of them has 500 places", () => {
    expect(mistakes(Array.from({ length: 500 }, (_, at) => `x${at}: 1\n`).join(""))).toHaveLength(500);
  });
});

describe("the place of a sentence of the server", () => {
  const text = "transform:\n  cmd: a\ninputs:\n- cmd: []\n- cmd: [b]\ntransfrm: 1\n";
  const model = modelOf(yaml.parse(text), text);
  const place = (message: string) => {
    const { from, to } = serverMistake(message, text, model);
    return text.slice(from, to);
  };
  it.each([
    ['transform.cmd is the string "a", but must be a list', "cmd"],
    ["inputs[1].cmd is not valid", "cmd"],
    ['unknown field "transfrm"; did you mean "transform"?', "transfrm"],
    ["the spec is broken YAML at line 2, column 3: something", "cmd: a"],
    ["repo default/nope not found", "transform:"],
  ])("%s", (message, expected) => {
    expect(place(message)).toBe(expected);
  });
  it("an index leads to its item", () => {
    expect(serverMistake("inputs[1].cmd is not valid", text, model).from).toBe(text.indexOf("cmd: [b]"));
  });
});
