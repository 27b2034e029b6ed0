/** The JSON Schema of a spec, as the server sends it (/jsonschema/pps_v2/CreatePipelineRequest.schema.json). */
import { canonical } from "./model";

export interface SchemaNode {
  $ref?: string;
  anyOf?: SchemaNode[];
  type?: string | string[];
  enum?: string[];
  title?: string;
  description?: string;
  properties?: Record<string, SchemaNode>;
  items?: SchemaNode;
  additionalProperties?: boolean | SchemaNode;
}
interface Document extends SchemaNode {
  definitions: Record<string, SchemaNode>;
}

const PREFIX = "#/definitions/";

export class Schema {
  readonly #document: Document;

  constructor(document: Document) {
    this.#document = document;
  }

  /** The spec itself. */
  get root(): SchemaNode {
    return this.resolved(this.#document);
  }

  /** Return a node without references, and without the alternative null. */
  resolved(node: SchemaNode): SchemaNode {
    let current = node;
    for (let steps = 0; steps < 10; steps++) {
      const target = current.$ref ? this.#document.definitions[current.$ref.slice(PREFIX.length)] : current.anyOf?.find((one) => one.type !== "null");
      if (!target) return current;
      current = target;
    }
    return current;
  }

  /** Return the node of a field of an object; undefined when there is none of this name. */
  field(node: SchemaNode, name: string): SchemaNode | undefined {
    const own = node.properties?.[name] ?? node.properties?.[canonical(name)];
    if (own) return this.resolved(own);
    return typeof node.additionalProperties === "object" ? this.resolved(node.additionalProperties) : undefined;
  }

  /** Return the node of the items of a list. */
  item(node: SchemaNode): SchemaNode | undefined {
    return node.items && this.resolved(node.items);
  }

  /** Return the node at a path of names and indexes. */
  at(path: readonly string[]): SchemaNode | undefined {
    let node: SchemaNode | undefined = this.root;
    for (const part of path) {
      if (!node) return undefined;
      node = node.items && /^\d+$/.test(part) ? this.item(node) : this.field(node, part);
    }
    return node;
  }
}

/** Return the names of the types that a node admits. */
export function typesOf(node: SchemaNode): string[] {
  if (node.enum) return ["string"];
  return node.type === undefined ? [] : [node.type].flat();
}

let loaded: Promise<Schema> | undefined;

/** Return the schema of a spec; it is read once. */
export function specSchema(): Promise<Schema> {
  loaded ??= fetch("/jsonschema/pps_v2/CreatePipelineRequest.schema.json")
    .then((response) => {
      if (!response.ok) throw new Error(`the schema cannot be read: ${response.status}`);
      return response.json() as Promise<Document>;
    })
    .then((document) => new Schema(document))
    .catch((error: unknown) => {
      loaded = undefined;
      throw error;
    });
  return loaded;
}
