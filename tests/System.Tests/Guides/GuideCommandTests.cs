using ZeroFlow.SystemTests.Postgres;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Guides;

// Every command that the README and the guides tell people to type is run, or says why it is not.
public sealed class GuideCommandTests(ZeroFlowBinary binary)
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(8);

    public static TheoryData<string> Pages => [.. CommandBlock.Pages];

    public static TheoryData<string> Run => [.. CommandBlock.Pages.Where(static page => Has(page, BlockKind.Run))];

    public static TheoryData<string> InGuest => [.. CommandBlock.Pages.Where(static page => Has(page, BlockKind.Guest))];

    [Theory]
    [MemberData(nameof(Pages))]
    public void Every_block_of_commands_is_run_or_says_why_not(string page)
    {
        Assert.Empty(CommandBlock.Stray(page));
        Assert.All(CommandBlock.Of(page), static block =>
        {
            Assert.True(block.Kind != BlockKind.Unmarked, $"{block.Where}: neither run, guest, played-by=FILE nor not-run=REASON.");
            if (block.Kind == BlockKind.NotRun) Assert.True(CommandBlock.Reasons.ContainsKey(block.Argument), $"{block.Where}: {block.Argument} is no reason.");
            if (block.Kind != BlockKind.Played) return;
            Assert.True(File.Exists(ProjectRoot.File(block.Argument)), $"{block.Where}: there is no {block.Argument}.");
            string player = File.ReadAllText(ProjectRoot.File(block.Argument));

            // A script that reads the page plays what stands there.
            if (player.Contains($"guide={block.Page}\n", StringComparison.Ordinal)) return;
            Assert.All(block.Programs, program => Assert.Contains(Path.GetFileName(program), player, StringComparison.OrdinalIgnoreCase));
        });
    }

    [Theory]
    [MemberData(nameof(Run))]
    public async Task The_commands_of_a_page_work(string page)
    {
        Require.Tool("bash", "curl", "nbdinfo", "nbdcopy", "qemu-img", "qemu-io", "openssl");
        using var folder = new TestFolder();
        await using ChildProcess shell = await StartAsync(folder, new GuideScript(folder).Here(CommandBlock.Of(page), await binary.PathAsync(), guestJobs: null));
        await EndAsync(shell);
    }

    // With those that need the kernel's NBD client, ZFS and PostgreSQL, in the order of the page.
    [Theory]
    [MemberData(nameof(InGuest))]
    public async Task The_commands_of_a_page_work_with_the_kernel_and_ZFS(string page)
    {
        if (!Require.Long) Assert.Skip("takes a minute for each page: ZEROFLOW_LONG=1");
        Require.Root();
        Guest.RequireBuilt();
        Require.Tool("bash", "curl", "nbdinfo", "nbdcopy", "qemu-img", "qemu-io", "openssl");
        using var folder = new TestFolder();
        var script = new GuideScript(folder);
        IReadOnlyList<CommandBlock> blocks = CommandBlock.Of(page);
        try
        {
            await using ChildProcess shell = await StartAsync(folder, script.Here(blocks, await binary.PathAsync(), Guest.Jobs));
            await using Guest guest = await Guest.StartAsync(script.InGuest(blocks, Guest.Host), folder);
            Task ends = EndAsync(shell, () => guest.Console), guestEnds = guest.EndAsync(Patience);
            await await Task.WhenAny(ends, guestEnds);
            await Task.WhenAll(ends, guestEnds);
        }
        finally
        {
            script.Forget(Guest.Jobs);
        }
    }

    private static bool Has(string page, BlockKind kind) => CommandBlock.Of(page).Any(block => block.Kind == kind);

    private static async Task<ChildProcess> StartAsync(TestFolder folder, string script)
    {
        await File.WriteAllTextAsync(folder["script"], script);
        return ChildProcess.Start("bash", [folder["script"]]);
    }

    private static async Task EndAsync(ChildProcess shell, Func<string>? besides = null)
    {
        using var limit = new CancellationTokenSource(Patience);
        while (!shell.HasExited && !limit.IsCancellationRequested) await Task.Delay(100, CancellationToken.None);
        if (shell.HasExited && await shell.ExitAsync(Patience) == 0 && shell.Output.Contains("PLAYED", StringComparison.Ordinal)) return;
        Assert.Fail(
            $"{(shell.HasExited ? $"It ended with {shell.ExitCode}" : "It does not end")}:\n{Tail(shell.Output)}\n{Tail(shell.Errors)}\n{Tail(besides?.Invoke() ?? "")}");
    }

    private static string Tail(string text) => string.Join('\n', text.Split('\n').TakeLast(40));
}
