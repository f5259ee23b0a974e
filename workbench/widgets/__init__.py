"""The widgets for JupyterLab, Notebook and Voilà.

Widgets to use:

* ``workbench``: load, edit and send one resource
* ``conflict``: two clients change one record, with and without the lock
* ``present``: the same story for a room, in large type
* ``race``: many clients update one List
* ``report``: browse the report of a check
* ``endpoints``: select an endpoint by its profile, and test the connection

Parts of them:

* ``draft``: the state of one resource that is edited and sent, without widgets
* ``stage``: a play as a scene, with a caption for its last step
* ``frame``: keys, focus, announcements, kept drafts and the kernel's end, in the page; also the style sheet
* ``messages``: the HTTP messages of one exchange
* ``writes``: the switch that allows writing to a live host
* ``merge``: the decisions of a three-way merge
* ``editor``, ``table``: the JSON editor and the live table; their JavaScript is in ``frontend/``
* ``export``: the journal as a file or a download
* ``private``: widgets whose content is not saved with a notebook
* ``html``: all HTML; every text in it is escaped
"""
