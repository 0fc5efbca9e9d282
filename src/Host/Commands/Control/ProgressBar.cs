using Spectre.Console;

namespace ZeroFlow.Host.Commands.Control;

/// <summary>A bar for a person at a terminal, on standard error; nothing for anybody else.</summary>
internal static class ProgressBar
{
    /// <summary>Does some work, which tells how many bytes of how many are done.</summary>
    public static async Task<T> ShowAsync<T>(string what, Func<Action<long, long>, Task<T>> work)
    {
        if (Console.IsErrorRedirected) return await work(static (_, _) => { });
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        return await console.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new TransferSpeedColumn(), new RemainingTimeColumn())
            .StartAsync(context =>
            {
                ProgressTask task = context.AddTask(Markup.Escape(what));
                return work((done, total) => (task.MaxValue, task.Value) = (total, done));
            });
    }
}
