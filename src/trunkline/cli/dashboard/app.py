"""The dashboard of ``trunkline top`` on a terminal, by Textual, which nothing else imports.

Two threads talk to the server: one waits for events, the other reads the table that is shown when something has
changed. It changes nothing on the server. Colours are the sixteen of the terminal, and words carry the meaning.
"""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.screen import ModalScreen
from textual.widgets import DataTable, Input, Static

from trunkline.cli.dashboard.views import ROOTS, Log, Pipelines, Projects, Row, View, arranged
from trunkline.cli.state_colours import style
from trunkline.client.stubs import Client
from trunkline.errors import TrunklineError, Unimplemented
from trunkline.rpc.gen import control_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trunkline.cli.invocation import Invocation

#: Seconds without an event after which the table is read again, for ages and machines.
AT_LEAST_EVERY = 5.0
#: Seconds before a server that does not answer is asked again.
AGAIN = 2.0
KEYS = (
    ("1 2 3 4", "pipelines, jobs, workers, machines; Tab: the next of them"),
    ("Enter", "open: a pipeline's jobs, a job's datums, a datum's log"),
    ("Esc", "back; while filtering: show all rows again"),
    ("/", "show only rows that contain a text"),
    ("s", "sort by the next column; S: the other way round"),
    ("l", "the log of the row's pipeline, job or datum"),
    ("p", "choose a project"),
    ("arrows, PgUp, PgDn, Home, End", "move; left and right where rows are wider"),
    ("q, Ctrl-C", "end"),
)
HINTS = "Enter open  Esc back  / filter  s sort  l log  p project  ? keys  q end"


class Keys(ModalScreen[None]):
    """All keys."""

    BINDINGS: ClassVar = [("escape,question_mark,q,enter", "dismiss", "Close")]
    CSS = """
    Keys { align: center middle; background: ansi_default; }
    #keys { width: 74; max-width: 100%; height: auto; max-height: 100%; border: round ansi_default; padding: 0 1;
            overflow-y: auto; background: ansi_default; color: ansi_default; }
    """

    def compose(self) -> ComposeResult:
        """Show a line for each key."""
        text = Text("Keys\n", style="bold")
        for key, meaning in KEYS:
            text.append(f"\n{key}\n", style="bold")
            text.append(f"  {meaning}", style="not bold")
        text.append("\n\nNothing here changes anything on the server. Esc closes this.", style="not bold")
        yield Static(text, id="keys")


class Dashboard(App[None]):
    """Tables of what a server does, as it does it."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: ansi_default; color: ansi_default; }
    #head, #place, #hints { height: 1; background: ansi_default; color: ansi_default; }
    #head { text-style: bold; }
    DataTable, DataTable:focus {
      height: 1fr; background: ansi_default; color: ansi_default; background-tint: ansi_default 0%; }
    DataTable > .datatable--header, DataTable:focus > .datatable--header, DataTable:ansi > .datatable--header {
      background: ansi_default; color: ansi_default; text-style: bold underline; background-tint: ansi_default 0%; }
    DataTable > .datatable--even-row, DataTable > .datatable--odd-row { background: ansi_default; }
    DataTable > .datatable--cursor, DataTable:focus > .datatable--cursor {
      background: ansi_default; color: ansi_default; text-style: reverse; }
    * { scrollbar-color: ansi_white; scrollbar-color-hover: ansi_white; scrollbar-color-active: ansi_white;
        scrollbar-background: ansi_default; scrollbar-background-hover: ansi_default;
        scrollbar-background-active: ansi_default; scrollbar-corner-color: ansi_default; }
    #filter { height: 1; border: none; padding: 0; display: none; background: ansi_default; color: ansi_default; }
    #filter.shown { display: block; }
    """
    BINDINGS: ClassVar = [
        Binding("q", "quit", "End"),
        Binding("ctrl+c", "quit", "End", priority=True),
        Binding("slash", "filter", "Filter"),
        Binding("escape", "up", "Back"),
        Binding("s", "sort(1)", "Sort"),
        Binding("S", "reverse", "Reverse"),
        Binding("p", "projects", "Project"),
        Binding("l", "log", "Log"),
        Binding("question_mark", "keys", "Keys"),
        Binding("tab", "next_root", "Next", priority=True),
        *(Binding(str(number + 1), f"root({number})", "Show") for number in range(len(ROOTS))),
    ]

    def __init__(self, invocation: Invocation, project: str, is_over: Callable[[Invocation], bool]) -> None:
        """Show the state of a server.

        Args:
            invocation: the command; only one thread of the dashboard uses its connection.
            project: whose things are shown first; empty: those of all.
            is_over: asks the server whether to end; called after each reading.
        """
        super().__init__(ansi_color=True)
        self._invocation = invocation
        self._is_over = is_over
        self._views: list[View] = [Pipelines(project)]
        self._rows: Sequence[Row] = ()
        self._text = ""
        self._column: int | None = None
        self._reverse = False
        self._problem = ""
        self._limit: float | None = None
        #: Whether it ended because of ``end_after``.
        self.has_run_out = False
        self._last: tuple[object, ...] = ()
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._events = Events(invocation, self._changed)
        self._reader = threading.Thread(target=self._read_again, name="top reader", daemon=True)

    def end_after(self, seconds: float) -> None:
        """End when it has run for so long."""
        self._limit = seconds

    def _run_out(self) -> None:
        self.has_run_out = True
        self.exit()

    @property
    def view(self) -> View:
        """The table that is shown."""
        return self._views[-1]

    def compose(self) -> ComposeResult:
        """Lay out the lines and the table."""
        yield Static(id="head")
        yield Static(id="place")
        yield DataTable(cursor_type="row", cell_padding=0, zebra_stripes=False)
        yield Input(
            id="filter", placeholder="text that rows contain; Enter keeps it, Esc shows all", compact=True
        )
        yield Static(HINTS, id="hints")

    def on_mount(self) -> None:
        """Start reading."""
        self.query_one(DataTable).focus()
        self._describe()
        self.set_interval(1.0, self._describe)
        if self._limit is not None:
            self.set_timer(self._limit, self._run_out)
        self._reader.start()
        self._events.start()

    def on_unmount(self) -> None:
        """Stop reading."""
        self._stopped.set()
        self._changed.set()
        self._events.stop()

    def wait(self) -> None:
        """Wait until nothing talks to the server any more; call it after the dashboard has ended."""
        self._reader.join()
        self._events.join()

    # Reading, in a thread of its own ----------------------------------------------------------------------

    def _read_again(self) -> None:
        while not self._stopped.is_set():
            self._changed.clear()
            view, problem, rows, is_over = self.view, "", [], False
            try:
                rows = view.rows(self._invocation)
                is_over = self._is_over(self._invocation)
            except TrunklineError as error:
                problem = error.message
            if self._stopped.is_set():
                return
            if is_over:
                self.call_later(self.exit)
                return
            self.call_later(self._take, view, rows, problem)
            self._changed.wait(AGAIN if problem else AT_LEAST_EVERY)

    def _take(self, view: View, rows: Sequence[Row], problem: str) -> None:
        """Show what was read, unless another table was opened in the meantime."""
        self._problem = problem
        if view is self.view and not problem:
            self._rows = rows
            self._show()
        self._describe()

    # Showing ----------------------------------------------------------------------------------------------

    def _show(self) -> None:
        table = self.query_one(DataTable)
        rows = arranged(self._rows, self._text, self._column, reverse=self._reverse)
        drawn = (self.view, self._column, self._reverse, [(row.key, row.cells) for row in rows])
        if drawn == self._last:
            return
        is_same_view = bool(self._last) and self._last[0] is self.view
        self._last = drawn
        key = self._current_key() if is_same_view else None
        top, left_edge = table.scroll_y, table.scroll_x
        table.clear(columns=True)
        for number, name in enumerate(self.view.columns):
            mark = "" if number != self._column else " ▼" if self._reverse else " ▲"
            table.add_column(f"{name}{mark}  ")
        for row in rows:
            table.add_row(*(_cell(text) for text in row.cells), key=row.key)
        if is_same_view:
            if key is not None and key in table.rows:
                table.move_cursor(row=table.get_row_index(key), animate=False, scroll=False)
            table.scroll_to(x=left_edge, y=top, animate=False)
        elif isinstance(self.view, Log) and rows:
            table.move_cursor(row=len(rows) - 1, animate=False)  # the newest line

    def _describe(self) -> None:
        """Fill the lines around the table."""
        project = self.view.project or "all projects"
        clock = datetime.now().astimezone().strftime("%H:%M:%S")
        address = self._invocation.target.address
        self.query_one("#head", Static).update(
            Text(f"Trunkline  {address}  {project}  {clock}", no_wrap=True)
        )
        place = Text(no_wrap=True, overflow="ellipsis")
        if self._problem:
            place.append(self._problem, style="red")
        elif len(self._views) > 1 or isinstance(self.view, Projects):
            place.append(" > ".join(view.trail for view in self._views), style="bold")
        else:
            for number, root in enumerate(ROOTS):
                look = "reverse" if isinstance(self.view, root) else ""
                place.append(f" {number + 1} {root.title} ", style=look)
        if not self._problem:
            place.append(f"  {len(self._rows)} rows" + (f', with "{self._text}"' if self._text else ""))
        self.query_one("#place", Static).update(place)

    def _current_key(self) -> str | None:
        table = self.query_one(DataTable)
        if not table.row_count:
            return None
        key: str | None = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value
        return key

    def _current_row(self) -> Row | None:
        key = self._current_key()
        return next((row for row in self._rows if row.key == key), None)

    # Keys -------------------------------------------------------------------------------------------------

    def _open(self, views: list[View]) -> None:
        self._views = views
        self._rows, self._text, self._column, self._reverse = (), "", None, False
        self.query_one("#filter", Input).value = ""
        self._show()
        self._describe()
        self._changed.set()

    def on_data_table_row_selected(self, _: DataTable.RowSelected) -> None:
        """Open a row."""
        row = self._current_row()
        if row is None or (view := self.view.opened(row)) is None:
            return
        self._open([view] if isinstance(self.view, Projects) else [*self._views, view])

    def action_up(self) -> None:
        """Show all rows again, or go back to the table before."""
        field = self.query_one("#filter", Input)
        if self._text or field.has_class("shown"):
            field.value = self._text = ""
            field.remove_class("shown")
            self.query_one(DataTable).focus()
            self._show()
            self._describe()
        elif len(self._views) > 1:
            self._open(self._views[:-1])

    def action_filter(self) -> None:
        """Ask for a text."""
        field = self.query_one("#filter", Input)
        field.add_class("shown")
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show the rows with the text so far."""
        self._text = event.value
        self._show()
        self._describe()

    def on_input_submitted(self, _: Input.Submitted) -> None:
        """Keep the text."""
        self.query_one("#filter", Input).remove_class("shown")
        self.query_one(DataTable).focus()

    def action_sort(self, step: int) -> None:
        """Sort by the next column; after the last one by none."""
        following = -1 if self._column is None else self._column
        following += step
        self._column = following if following < len(self.view.columns) else None
        self._show()

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self._reverse = not self._reverse
        self._show()

    def action_projects(self) -> None:
        """Show the projects to choose from."""
        if not isinstance(self.view, Projects):
            self._open([*self._views, Projects(self.view.project)])

    def action_log(self) -> None:
        """Show the log of a row."""
        row = self._current_row()
        if row is not None and len(row.about) > 1 and not isinstance(self.view, Log):
            self._open([*self._views, Log(self.view.project, row.about)])

    def action_keys(self) -> None:
        """Show all keys."""
        self.push_screen(Keys())

    def action_root(self, number: int) -> None:
        """Show pipelines, jobs, workers or machines."""
        self._open([ROOTS[number](self.view.project)])

    def action_next_root(self) -> None:
        """Show the next of them."""
        kinds = [type(view) for view in self._views]
        number = ROOTS.index(kinds[0]) if kinds[0] in ROOTS else -1
        self.action_root((number + 1) % len(ROOTS))


def _cell(text: str) -> Text:
    return Text(f"{text}  ", style=style(text), no_wrap=True)


class Events(threading.Thread):
    """Waits for events, and says that something has changed."""

    def __init__(self, invocation: Invocation, changed: threading.Event) -> None:
        """Prepare to wait.

        Args:
            invocation: the command; a connection of its own is opened.
            changed: set after each event.
        """
        super().__init__(name="top events", daemon=True)
        self._channel = invocation.channel.sibling()
        self._changed = changed
        self._stopped = threading.Event()

    def run(self) -> None:
        """Wait until ``stop``; a server without events is read every few seconds all the same."""
        request = control_pb2.WatchEventsRequest(kinds=["pipeline", "job", "datum", "worker"])
        control = Client(self._channel).control
        while not self._stopped.is_set():
            try:
                for _ in control.WatchEvents(request):
                    self._changed.set()
            except Unimplemented:  # a Pachyderm server
                return
            except TrunklineError:
                pass  # the reader shows what is wrong
            self._stopped.wait(AGAIN)

    def stop(self) -> None:
        """End the wait."""
        self._stopped.set()
        self._channel.close()
