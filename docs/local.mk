dist_doc_DATA += README.md docs/control.md docs/fault-model.md docs/formats.md docs/join.md \
	docs/performance.md docs/rules.md docs/sources.md docs/words.md docs/write-path.md
dist_man_MANS += man/ocf_mirror_disk.7 man/hamirror-maintenance.7 man/hamirror-modes.7
dist_man_MANS += man/hamirrord.8 man/hamirror-watch.8
dist_man_MANS += man/hamirror.8 man/hamirror.yaml.5
