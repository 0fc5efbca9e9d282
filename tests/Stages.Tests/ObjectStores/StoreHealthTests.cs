using Microsoft.Extensions.Logging;
using Xunit;
using ZeroFlow.Stages.ObjectStores;
using ZeroFlow.TestKit.Time;

namespace ZeroFlow.Stages.Tests.ObjectStores;

public sealed class StoreHealthTests : IDisposable
{
    private static readonly ObjectStoreException Outage = new(ObjectStoreErrorKind.Transient, "It is down.");
    private static readonly ObjectStoreException Refusal = new(ObjectStoreErrorKind.Denied, "It refuses.");

    private readonly ManualTimeProvider _time = new();
    private readonly LineLogger _lines = new();
    private readonly StoreHealth _health;

    public StoreHealthTests() => _health = new StoreHealth(_time, _lines);

    public void Dispose() => _lines.Dispose();

    [Fact]
    public void An_outage_is_one_line_when_it_begins_and_one_when_it_ends()
    {
        for (int failures = 1; failures <= 100; failures++)
        {
            _health.ReportFailure(Outage, failures);
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.False(_health.IsReachable);
        Assert.Equal("It is down.", _health.LastError);
        for (int i = 0; i < 10; i++) _health.ReportSuccess();
        Assert.True(_health.IsReachable);
        Assert.Null(_health.LastError);
        Assert.Equal(_time.GetUtcNow(), _health.Since);
        Assert.Collection(
            _lines.Lines,
            line => Assert.Contains("It is down.", line, StringComparison.Ordinal),
            line => Assert.Contains("again after 99.0 s", line, StringComparison.Ordinal));
    }

    [Fact]
    public void A_lone_failure_is_not_trouble_but_a_refusal_is()
    {
        _health.ReportFailure(Outage, 1);
        Assert.True(_health.IsReachable);
        _health.ReportFailure(Refusal, 1);
        Assert.False(_health.IsReachable);
    }

    [Fact]
    public void A_store_that_flaps_is_reported_twice_a_minute_at_most()
    {
        for (int i = 0; i < 120; i++)
        {
            _health.ReportFailure(Refusal, 1);
            _health.ReportSuccess();
            _time.Advance(TimeSpan.FromSeconds(0.5));
        }

        Assert.Equal(4, _lines.Lines.Count);
    }

    [Theory]
    [InlineData(ObjectStoreErrorKind.ObjectMissing)]
    [InlineData(ObjectStoreErrorKind.ShortBody)]
    [InlineData(ObjectStoreErrorKind.Invalid)]
    public void Failures_of_one_object_say_nothing_about_the_store(ObjectStoreErrorKind kind)
    {
        _health.ReportFailure(new ObjectStoreException(kind, "One object."), 5);
        Assert.True(_health.IsReachable);
        Assert.Empty(_lines.Lines);
    }

    private sealed class LineLogger : ILoggerFactory, ILogger
    {
        public List<string> Lines { get; } = [];

        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel,
            EventId eventId,
            TState state,
            Exception? exception,
            Func<TState, Exception?, string> formatter) =>
            Lines.Add(formatter(state, exception));

        public void Dispose()
        {
        }
    }
}
