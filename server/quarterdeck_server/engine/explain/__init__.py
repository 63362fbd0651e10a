"""Why a task is not running, why it failed, and where its time went: pure answers from facts.

`facts` says what must be known, `obstacles` what keeps a task from running, `life` where its time went, `answer` joins
them.
"""
