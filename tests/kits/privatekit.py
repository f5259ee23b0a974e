"""A name planted in a record on a live endpoint, and a bench that shows it in every place where it can."""

BENCH = '''
import workbench as wb
from workbench.conformance.contract import Level

NAME = "Surname-" + "planted"[::-1]
spine = wb.Endpoint.in_process(clock=wb.LESSON_START, seed=3)
colleague = spine.client("colleague")
adapter = colleague.connection.adapter
allowed = wb.Connection(adapter=adapter, allow_writes=True)
LIVE = wb.Client("https://int.spine.example/STU3", name="me", connection=allowed)
LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"


def edited(words, **more):
    return colleague.read("List", LIST).resource | {"title": f"{NAME} {words}"} | more


def show_everything(client):
    """Load, search, edit wrongly and rightly, be refused, compare, choose, look at all tabs, and check."""
    colleague.update(edited("one"))
    bench = wb.Workbench(client, "List")
    bench.writes.switch.value = True
    bench.search()
    bench.load("List", LIST)
    bench.editor.value = '{"' + NAME + '": 1, "' + NAME + '": 2}'
    bench.load("List", LIST)
    bench.editor.value = bench.editor.value.replace("one", "mine")
    colleague.update(edited("theirs", note=[{"text": NAME}]))
    bench.send()
    bench.compare()
    for text in (NAME + " is not JSON", '"' + NAME + ' typed"'):
        message = {"kind": "choose", "index": title_of(bench.merge_view.merge), "choice": "edit", "text": text}
        bench.merge_view._handle_custom_msg(message, [])
    for tab in range(4):
        bench.tabs.selected_index = tab
    return bench


def title_of(merge):
    return next(n for n, each in enumerate(merge.decisions) if each.path == "title")


def checked(client):
    """The table of a check that worked on the record, its evidence shown."""
    about = [each for each in client.journal if each.interaction == "update"][-1]
    told = (wb.Result.BROKEN, "409", NAME, "200")
    found = wb.Finding("UPD-6", Level.MUST, "stale-previous", *told, evidence=(about,))
    return wb.CheckTable(wb.Report(client.base_url, about.sent_at, (found,)))
'''

PLANTED = "Surname-" + "planted"[::-1]
