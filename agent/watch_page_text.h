/* watch_page_text.h - the files of the page, as strings (agent/local.mk makes them). */
#ifndef AGENT_WATCH_PAGE_TEXT_H
#define AGENT_WATCH_PAGE_TEXT_H

extern const char watch_page_html[], watch_page_css[], watch_page_js[];
extern const char watch_page_charts_js[], watch_page_config_js[];

#endif
