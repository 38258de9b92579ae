"""From text that is there already to rows: which documents of which sources, and what is known of them.

Each source is indexed by itself (`index`, with the help of `metadata`, `masking`, `words` and `tokens`); the indexes
tell the duplicates (`duplicates`, `near_duplicates`) and are cut into splits (`shares`, `selection`); the rows are then
read again from the sources (`rereading`). What could not be read is kept aside (`quarantine`).
"""
