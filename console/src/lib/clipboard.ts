/** Copies text, also on plain HTTP, where browsers have no clipboard API. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

function copySelected(text: string): boolean {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  const top = document.querySelector("dialog[open]") ?? document.body;
  top.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}
