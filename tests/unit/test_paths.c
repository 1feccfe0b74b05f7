/* test_paths.c - names of instances, and where their files are. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/files.h"
#include "agent/paths.h"

static struct agent_instance instance;
static char text[256];

static const struct {
	const char *name, *mirror, *host; /* mirror NULL: refused */
} names[] = {
	{ "data@n1", "data", "n1" },
	{ "a.b-c_9@n1.example.org", "a.b-c_9", "n1.example.org" },
	{ "", NULL, NULL },
	{ "@", NULL, NULL },
	{ "data@", NULL, NULL },
	{ "@n1", NULL, NULL },
	{ "data@n1@n2", NULL, NULL },
	{ "../data", NULL, NULL },
	{ ".", NULL, NULL },
	{ "-data@n1", NULL, NULL },
	{ "da ta@n1", NULL, NULL },
	{ "data@n1/..", NULL, NULL },
	{ "d\xc3\xa9@n1", NULL, NULL },
};

START_TEST(takes_names_apart)
{
	const int result = agent_instance_parse(names[_i].name, &instance, text,
						sizeof text);

	if (names[_i].mirror == NULL) {
		ck_assert_int_eq(result, -EINVAL);
		ck_assert_uint_gt(strlen(text), 0);
		return;
	}
	ck_assert_int_eq(result, 0);
	ck_assert_str_eq(instance.name, names[_i].name);
	ck_assert_str_eq(instance.mirror, names[_i].mirror);
	ck_assert_str_eq(instance.host, names[_i].host);
}
END_TEST

/* 63 bytes each are the most; without a host it is this node. */
START_TEST(bounds_names_and_knows_this_node)
{
	char longest[64 + 64] = { 0 }, node[256] = "";

	memset(longest, 'm', 63);
	longest[63] = '@';
	memset(longest + 64, 'h', 63);
	ck_assert_int_eq(agent_instance_parse(longest, &instance, text, sizeof text), 0);
	ck_assert_str_eq(instance.name, longest);
	memset(longest, 'm', 64);
	ck_assert_int_eq(agent_instance_parse(longest, &instance, text, sizeof text),
			 -EINVAL);

	ck_assert_int_eq(gethostname(node, sizeof node), 0);
	ck_assert_int_eq(agent_instance_parse("data", &instance, text, sizeof text), 0);
	ck_assert_str_eq(instance.host, node);
	ck_assert_str_eq(instance.name, "data");
}
END_TEST

START_TEST(finds_the_files_of_an_instance)
{
	char path[PATH_MAX], far[PATH_MAX];

	ck_assert_int_eq(agent_instance_parse("data@n1", &instance, text, sizeof text),
			 0);
	unsetenv("HAMIRROR_CONFIG_DIR");
	unsetenv("HAMIRROR_RUN_DIR");
	setenv("HAMIRROR_STATE_DIR", "", 1);
	ck_assert_int_eq(agent_path(&instance, AGENT_PATH_CONFIG, path), 0);
	ck_assert_str_eq(path, "/etc/hamirror/data.yaml");
	ck_assert_int_eq(agent_path(&instance, AGENT_PATH_CONTROL, path), 0);
	ck_assert_str_eq(path, "/run/hamirror/data@n1/control");
	ck_assert_int_eq(agent_path(&instance, AGENT_PATH_STATE, path), 0);
	ck_assert_str_eq(path, "/var/lib/hamirror/data@n1");
	setenv("HAMIRROR_DEV_DIR", "/tmp/dev", 1);
	ck_assert_int_eq(agent_path(&instance, AGENT_PATH_DEVICES, path), 0);
	ck_assert_str_eq(path, "/tmp/dev/data");

	memset(far, 'x', sizeof far - 1);
	far[sizeof far - 1] = '\0';
	setenv("HAMIRROR_LOG_DIR", far, 1);
	ck_assert_int_eq(agent_path(&instance, AGENT_PATH_LOG, path), -ENAMETOOLONG);
	ck_assert_str_eq(path, "");
}
END_TEST

/* A socket in a directory whose path does not fit into an address. */
START_TEST(reaches_a_socket_by_a_long_path)
{
	char top[] = "/tmp/hamirror-test-paths-XXXXXX", folder[512], path[600];
	const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	const int client = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un address;
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(folder, sizeof folder, "%s/%0150d", top, 0);
	ck_assert_int_eq(mkdir(folder, 0700), 0);
	snprintf(path, sizeof path, "%s/control", folder);

	ck_assert_int_eq(agent_socket_address(path, &address, &fd), 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	close(fd);
	ck_assert_int_eq(agent_socket_address(path, &address, &fd), 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, sizeof address), 0);
	close(fd);

	ck_assert_int_eq(agent_socket_address("/tmp/x", &address, &fd), 0);
	ck_assert_int_eq(fd, -1);
	ck_assert_str_eq(address.sun_path, "/tmp/x");
	close(client);
	close(listener);
	unlink(path);
	rmdir(folder);
	rmdir(top);
	ck_assert_int_eq(agent_socket_address(path, &address, &fd), -ENOENT);
}
END_TEST

/* The starter may have had any umask and descriptors. */
START_TEST(process_begins_with_nothing_of_its_starter)
{
	char directory[] = "/tmp/hamirror-begin-XXXXXX", inner[64];
	int fd, status;
	struct stat st;
	pid_t pid;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(inner, sizeof inner, "%s/dev", directory);
	fd = dup(STDERR_FILENO);
	pid = fork();
	if (pid == 0) {
		umask(077);
		agent_process_begin(0);
		_exit(fcntl(fd, F_GETFD) == -1 && mkdir(inner, 0755) == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(stat(inner, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0755);
	close(fd);
	rmdir(inner);
	rmdir(directory);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("paths");
	Suite *s = suite_create("agent");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, takes_names_apart, 0,
			    (int)(sizeof names / sizeof names[0]));
	tcase_add_test(tc, bounds_names_and_knows_this_node);
	tcase_add_test(tc, finds_the_files_of_an_instance);
	tcase_add_test(tc, reaches_a_socket_by_a_long_path);
	tcase_add_test(tc, process_begins_with_nothing_of_its_starter);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
