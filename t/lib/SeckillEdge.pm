package SeckillEdge;

# A second edge beside the one of Test::Nginx: the same nginx with the same module
# and a zone of its own.

use strict;
use warnings;

use Exporter qw(import);
use File::Path qw(make_path remove_tree);
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(sleep time);

use SeckillServers qw(free_port);

our @EXPORT_OK = qw(second_edge end_edge kill_edge named_pid launch start_again change reconfigure get_at);

my ($owner, @running) = ($$);

# Starts an edge with these contents of http{} and of server{}, and these directives before
# both.
sub second_edge {
    my ($http, $server, $main) = @_;
    $main //= '';
    my $folder = "$ENV{TEST_NGINX_SERVROOT}-second-" . @running;
    remove_tree($folder);
    make_path("$folder/logs");
    my $port = free_port();
    # The sockets of the first one's helpers are taken.
    $http =~ s{listen unix:(\S+);}{listen unix:$1.second;}g;
    unlink glob SeckillRedis::folder() . '/*.second';
    my $modules = join '', map {"load_module $_;\n"} split ' ', $ENV{TEST_NGINX_LOAD_MODULES};
    open my $conf, '>', "$folder/nginx.conf" or die "$folder: $!\n";
    # The built-in folders are the system's, which an ordinary user may not write to.
    my $temp = join '', map {"${_}_temp_path $folder/temp/$_;\n"} qw(client_body proxy fastcgi uwsgi scgi);
    make_path("$folder/temp");
    # As Test::Nginx does: the sockets are in a folder of this user alone.
    my $user = $> == 0 ? "user root;\n" : q{};
    my $daemon = $main =~ /^daemon/m ? q{} : "daemon off;\n";
    print $conf "${user}${modules}$daemon$main\npid $folder/nginx.pid;\nerror_log $folder/logs/error.log info;\n",
        "worker_processes 1;\nevents {}\nhttp {\naccess_log off;\n$temp$http\n",
        "server { listen 127.0.0.1:$port; server_name shop;\n$server\n}\n}\n";
    close $conf;
    my $edge = { port => $port, folder => $folder };
    push @running, $edge;
    return start_again($edge);
}

# Changes its configuration as this does with $_, and reloads; returns the worker of before.
sub change {
    my ($edge, $change) = @_;
    my $file = "$$edge{folder}/nginx.conf";
    local $_ = do { local (@ARGV, $/) = $file; <> };
    my $before = $_;
    $change->();
    die "nothing was changed in $file\n" if $_ eq $before;
    open my $conf, '>', $file or die "$file: $!\n";
    print $conf $_;
    close $conf;
    my ($worker) = `pgrep -P $$edge{pid}` =~ /(\d+)/;
    kill 'HUP', $$edge{pid};
    return $worker;
}

# The same; returns when the worker of before has left.
sub reconfigure {
    my ($edge, $change) = @_;
    my $worker   = change($edge, $change);
    my $deadline = time + 60;
    while (kill 0, $worker) {
        die "the worker of $$edge{folder} does not leave\n" if time > $deadline;
        sleep 0.02;
    }
    return;
}

# Starts an edge that has ended, as it was configured, and says nothing to it.
sub launch {
    my ($edge) = @_;
    my $folder = $$edge{folder};
    $$edge{pid} = fork // die "cannot fork: $!";
    if (!$$edge{pid}) {
        open STDERR, '>', "$folder/logs/start.log";
        exec $ENV{TEST_NGINX_BINARY}, '-p', $folder, '-c', "$folder/nginx.conf" or POSIX::_exit(127);
    }
    return $edge;
}

# The same; returns when it takes connections.
sub start_again {
    my ($edge) = launch(@_);
    my $folder = $$edge{folder};
    my $deadline = time + 10;
    until (IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $$edge{port})) {
        die "the second edge did not start; see $folder/logs/start.log\n" if time > $deadline;
        sleep 0.02;
    }
    return $edge;
}

# The process that its pid file names.
sub named_pid {
    my ($edge) = @_;
    open my $in, '<', "$$edge{folder}/nginx.pid" or return 0;
    return 0 + (<$in> // 0);
}

# Kills its master and workers, without a moment's notice.
sub kill_edge {
    my ($edge) = @_;
    my @workers = split ' ', `pgrep -P $$edge{pid}`;
    # The master first, which would start others.
    kill 'KILL', $$edge{pid}, @workers;
    waitpid $$edge{pid}, 0;
    # A worker is not ours to wait for; until it is gone the port is taken.
    my $deadline = time + 10;
    while (grep { kill 0, $_ } @workers) {
        die "workers @workers do not end\n" if time > $deadline;
        sleep 0.02;
    }
    unlink glob SeckillRedis::folder() . '/*.second';
    undef $$edge{pid};
    return;
}

sub end_edge {
    my ($edge, $signal) = @_;
    return unless $$edge{pid} && $owner == $$;
    kill $signal // 'TERM', $$edge{pid};
    waitpid $$edge{pid}, 0;
    undef $$edge{pid};
    return;
}

# The whole response to a GET at an edge.
sub get_at {
    my ($port, $path, @headers) = @_;
    my $edge = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or return '';
    print $edge join "\r\n", "GET $path HTTP/1.0", 'Host: shop', @headers, '', '';
    local $/;
    return <$edge> // '';
}

END {
    local $?;
    end_edge($_) for @running;
}

1;
