# The resource agent: goes where pacemaker looks for ocf:mirror:disk.
ocfdir = $(prefix)/lib/ocf/resource.d/mirror
dist_ocf_SCRIPTS = ocf/disk

# Configurations for pcs and crmsh.
examplesdir = $(docdir)/crm-examples
dist_examples_SCRIPTS = crm-examples/two-sites.pcs
dist_examples_DATA = crm-examples/README.md crm-examples/two-sites.crm
