/** The parts of CodeMirror that the editor uses, with its colours and completion. */
import { type CompletionContext, type CompletionResult, autocompletion, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, bracketMatching, ensureSyntaxTree, foldGutter, foldKeymap, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { cursorAt, isJson } from "./cursor";
import type { Mistake } from "./mistakes";
import { type Value, canonical, modelOf } from "./model";
import { type Schema, type SchemaNode, typesOf } from "./schema";

/** Milliseconds to parse the text for its mistakes; a spec has at most a megabyte. */
const PARSE = 500;

const COLOURS = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--page)", fontSize: "13px" },
  "&.cm-focused": { outline: "2px solid var(--active)", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "20px" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--surface)", color: "var(--muted)", borderRight: "1px solid var(--hairline)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--active) 7%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { background: "color-mix(in srgb, var(--active) 26%, transparent)" },
  ".cm-matchingBracket": { outline: "1px solid var(--control)", backgroundColor: "transparent !important" },
  ".cm-selectionMatch": { backgroundColor: "color-mix(in srgb, var(--wait) 26%, transparent)" },
  ".cm-tooltip, .cm-panels": { backgroundColor: "var(--page)", color: "var(--text)", border: "1px solid var(--hairline)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--raised)", color: "var(--text)" },
  ".cm-completionDetail": { color: "var(--muted)", fontStyle: "normal", marginLeft: "16px" },
  ".cm-diagnostic": { fontFamily: "var(--sans)", borderLeft: "4px solid var(--bad)" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--bad)", textUnderlineOffset: "3px" },
  ".cm-lint-marker-error": { content: '""', width: "8px", height: "8px", margin: "6px 3px", borderRadius: "2px", backgroundColor: "var(--bad)" },
  ".cm-foldPlaceholder": { backgroundColor: "var(--raised)", border: "0", color: "var(--muted)" },
  ".cm-textfield": { color: "var(--text)", backgroundColor: "var(--page)", border: "1px solid var(--control)" },
  ".cm-button": { color: "var(--text)", backgroundColor: "var(--raised)", backgroundImage: "none", border: "1px solid var(--control)" },
});
const HIGHLIGHTS = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--active)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: "var(--wait)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
]);

export interface Editor {
  /** Replace the text. */
  set(text: string): void;
  /** Mark mistakes. */
  mark(mistakes: readonly Mistake[]): void;
  /** Put the cursor at a place and show it. */
  show(from: number): void;
  /** Return the values of the text with their places. */
  model(): Value | undefined;
  destroy(): void;
}

/**
 * Make an editor.
 *
 * @param parent shadow root that it is in: elsewhere the content policy would block its styles.
 * @param text that it begins with.
 * @param label its accessible name.
 * @param schema of what is written, for completion; undefined while it is not there.
 * @param changed is called with each new text.
 */
export function makeEditor(parent: ShadowRoot, text: string, label: string, schema: () => Schema | undefined, changed: (text: string) => void): Editor {
  const language = new Compartment();
  let json_ = isJson(text);
  const extensions: Extension[] = [
    lineNumbers(), highlightActiveLineGutter(), foldGutter(), history(), drawSelection(), indentOnInput(),
    bracketMatching(), highlightActiveLine(), highlightSelectionMatches(), lintGutter(),
    syntaxHighlighting(HIGHLIGHTS), COLOURS, EditorView.lineWrapping,
    language.of(languageOf(json_)),
    autocompletion({ override: [(context) => completion(context, schema())], activateOnTyping: true, icons: false }),
    // Tab moves on to the next control, as everywhere: the editor is no trap for the keyboard.
    keymap.of([...defaultKeymap, ...historyKeymap, ...searchKeymap, ...foldKeymap, ...completionKeymap, ...lintKeymap]),
    EditorView.domEventHandlers({ beforeinput: replaceSelected }),
    EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false" }),
    EditorView.updateListener.of((update) => {
      if (!update.docChanged) return;
      const current = update.state.doc.toString();
      if (isJson(current) !== json_ && current.trim() !== "") {
        json_ = isJson(current);
        update.view.dispatch({ effects: language.reconfigure(languageOf(json_)) });
      }
      changed(current);
    }),
  ];
  const view = new EditorView({ state: EditorState.create({ doc: text, extensions }), parent, root: parent });
  return {
    set: (changed_) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: changed_ } }),
    mark: (mistakes) => {
      const end = view.state.doc.length;
      const diagnostics = mistakes
        .filter(({ from }) => from <= end)
        .map(({ from, to, message }) => ({ from, to: Math.min(Math.max(to, from), end), message, severity: "error" as const }));
      view.dispatch(setDiagnostics(view.state, diagnostics));
    },
    show: (from) => {
      const anchor = Math.min(from, view.state.doc.length);
      view.dispatch({ selection: { anchor }, effects: EditorView.scrollIntoView(anchor, { y: "center" }) });
      view.focus();
    },
    model: () => {
      const tree = ensureSyntaxTree(view.state, view.state.doc.length, PARSE);
      return tree ? modelOf(tree, view.state.doc.toString()) : undefined;
    },
    destroy: () => view.destroy(),
  };
}

/** Text over a selection: left to itself, Chromium keeps the look of what it replaces by styles that the policy blocks. */
function replaceSelected(event: InputEvent, view: EditorView): boolean {
  const text = event.data;
  if (event.inputType !== "insertText" || !text || view.composing) return false;
  const { from, to } = selected(view);
  if (from === to) return false;
  event.preventDefault();
  view.dispatch({ changes: { from, to, insert: text }, selection: { anchor: from + text.length }, userEvent: "input.type", scrollIntoView: true });
  return true;
}

/** What is selected on the page, which the editor may not have noticed yet; only Chromium says it of a shadow root. */
function selected(view: EditorView): { from: number; to: number } {
  const root = view.root as ShadowRoot & { getSelection?: () => Selection | null };
  const selection = root.getSelection?.();
  if (!selection?.anchorNode || !selection.focusNode || !view.contentDOM.contains(selection.anchorNode)) return view.state.selection.main;
  const ends = [view.posAtDOM(selection.anchorNode, selection.anchorOffset), view.posAtDOM(selection.focusNode, selection.focusOffset)];
  return { from: Math.min(...ends), to: Math.max(...ends) };
}

function languageOf(isJson_: boolean): Extension {
  return isJson_ ? json() : yaml();
}

/** Propose fields, or the values of a field. */
function completion(context: CompletionContext, schema: Schema | undefined): CompletionResult | null {
  const text = context.state.doc.toString();
  const cursor = cursorAt(text, context.pos);
  const node = cursor && schema?.at(cursor.path);
  if (!cursor || !schema || !node || (!context.explicit && cursor.from === context.pos)) return null;
  const inJson = isJson(text);
  if (!cursor.isKey) {
    const values = node.enum ?? (typesOf(node).includes("boolean") ? ["true", "false"] : []);
    const options = values.map((value) => ({ label: inJson && node.enum ? JSON.stringify(value) : value, type: "constant" }));
    return options.length > 0 ? { from: cursor.from, options } : null;
  }
  const taken = new Set(cursor.siblings.map(canonical));
  const spelled = /["'\n ][a-z]+[A-Z]\w*["']?\s*:/.test(text) ? (name: string) => name : snake;
  const options = Object.entries(node.properties ?? {})
    .filter(([name]) => !taken.has(canonical(name)))
    .map(([name, field]) => {
      const own = schema.resolved(field);
      const label = spelled(name);
      const apply = inJson ? `"${label}": ${opening(own)}` : `${label}:${isBlock(own) ? "" : " "}`;
      return { label, detail: own.title ?? typesOf(own).join(" or "), info: own.description, apply: withWordReplaced(apply), type: "property" };
    });
  return options.length > 0 ? { from: cursor.from + (text[cursor.from] === '"' ? 1 : 0), options, validFor: /^\w*$/ } : null;
}

/** Return what puts a field in the place of the word, its quotes included. */
function withWordReplaced(insert: string) {
  return (view: EditorView, _completion: unknown, from: number, to: number): void => {
    const { doc } = view.state;
    const start = doc.sliceString(from - 1, from) === '"' ? from - 1 : from;
    const end = doc.sliceString(to, to + 1) === '"' && start < from ? to + 1 : to;
    const inside = /["{[]$/.test(insert) ? 1 : 0;
    const closing = { '"': '"', "{": "}", "[": "]" }[insert.slice(-1)] ?? "";
    const whole = insert + (inside ? closing : "");
    view.dispatch({ changes: { from: start, to: end, insert: whole }, selection: { anchor: start + insert.length } });
  };
}

function opening(node: SchemaNode): string {
  const types = typesOf(node);
  if (types.includes("object")) return "{";
  if (types.includes("array")) return "[";
  return types.includes("string") && types.length === 1 ? '"' : "";
}

function isBlock(node: SchemaNode): boolean {
  return typesOf(node).includes("object");
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
